#!/bin/sh
# A new version is on trial until it has run for a minute. Called by gengfu.service as root: `begin` before each start,
# `end` after each end; by install.sh: `judge`.
#
# Guarantees
# * After an update, three starts that did not come to a minute, or one that hung or found no usable site (78): the
#   version from before is `current` again, by one rename(2), and runs. `undone` says which one was left, and the gateway
#   raises an alarm for it, until the next update. A start that somebody stopped is not counted, nor a shutdown, nor one
#   that says nothing of the version (75: another gateway runs here, or the disk gives no site file for now).
# * All of it is renames of what install.sh has put there: a full disk keeps no bad version, and undoes no good one.
# * The unit file is that of the version that runs: what an update left that was cut off is mended before the start.
# * A power cut at any step leaves the new version, still on trial, or the old one.
# * It writes in PREFIX and the unit file only, not in journal or configuration. Of what the gateway can write it reads
#   nothing, and asks for one name: one that was taken over can say that a version runs, and no more. When this fails
#   itself the gateway is started all the same.
#
# It does not judge what a version does in its minute: one that runs and reads nonsense is left by hand (docs/install.md).
# `trial.N`, in the version's folder: a link to the one before, with the number of its starts; `undone`: its own name.
set -eu
umask 022

opt=${DESTDIR:-}${PREFIX:-/opt/gengfu}
unit=${DESTDIR:-}/usr/local/lib/systemd/system/gengfu.service
state=${DESTDIR:-}${STATE_DIRECTORY:-/var/lib/gengfu}
run=${DESTDIR:-}${RUNTIME_DIRECTORY:-/run/gengfu}
STARTS=3

say() { echo "gengfu: $*"; }

judge() { # is `current` on trial, since how many starts? When that is over, its marks go.
  new=$(readlink "$opt/current") || return 1
  for mark in "$opt/$new"/trial.?; do
    [ -L "$mark" ] || return 1
    old=$(readlink "$mark")
    starts=${mark##*.}
    # By gateway/version.py, after a minute: on the disk, and where no disk is needed for as long as it runs.
    if [ -x "$opt/$old/bin/gengfu" ] && ! [ -e "$state/proved-$new" ] && ! [ -e "$run/proved-$new" ]; then
      return 0
    fi
    rm -f "$mark" "$opt/$new/undone"
  done
  return 1
}

count() { # $1: so many starts
  mv -T "$mark" "${mark%.*}.$1"
  sync "$opt/$new"
}

go_back() { # $1: why
  say "version $new is left, $1; $old runs again"
  say "版本 $new 未能运行，已退回 $old"
  mv -T "$opt/$new/undone" "$opt/undone" || true # gone already, when this was cut off here
  mv -T "$mark" "$opt/current"
  # Nobody else does after 78; at once, for a disk may take longer than we have.
  [ "${EXIT_STATUS:-}" != 78 ] || systemctl --no-block restart gengfu.service || true
  sync "$opt" "$opt/$new" || true # it has to run, whatever the disk says
  settle
}

settle() { # the unit file is the one of the version that runs; on a full disk a later start sees to it
  own=$opt/current/service/gengfu.service
  [ -e "$own" ] && [ -e "$unit" ] && ! cmp -s "$own" "$unit" || return 0
  cp "$own" "$unit.new" && sync "$unit.new" && mv -T "$unit.new" "$unit" && systemctl daemon-reload || rm -f "$unit.new"
}

begin() {
  if ! judge; then
    settle
  elif [ "$starts" -ge $STARTS ]; then
    go_back "$STARTS starts did not come to a minute"
  else
    count $((starts + 1))
    settle
  fi
}

end() { # SERVICE_RESULT, EXIT_STATUS: from the service manager
  judge && [ "$starts" != 0 ] || return 0 # 0: it was the old version that ended
  case ${SERVICE_RESULT:-}/${EXIT_STATUS:-} in
    timeout/*) go_back "it hung" ;;
    */78) go_back "it found no usable site" ;;
    */75) count $((starts - 1)) ;;
    success/*)
      job=$(systemctl show --property Job --value gengfu.service || true)
      [ "${job:-0}" = 0 ] || count $((starts - 1)) # 0: nobody has asked for this end
      ;;
  esac
}

case ${1:-} in
  begin) begin ;;
  end) end ;;
  judge) judge || true ;;
  *) say "usage: trial.sh begin|end|judge" >&2; exit 2 ;;
esac
