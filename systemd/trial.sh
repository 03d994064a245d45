#!/bin/sh
# A new version is on trial until it has run for a minute. Called by gengfu.service as root: `begin` before each start,
# `end` after each end; by install.sh: `judge`.
#
# Guarantees
# * After an update, three starts that did not come to a minute, or one that hung or found no usable site (78): the
#   version from before is `current` again, by one rename(2), and runs. `undone` says which one was left, and the gateway
#   raises an alarm for it, until the next update. A start that somebody stopped, or a shutdown, is not counted.
# * The unit file is that of the version that runs: what an update left that was cut off is mended before the start.
# * A power cut at any step leaves the new version, still on trial, or the old one.
# * It writes in PREFIX and the unit file only, not in journal or configuration. Of what the gateway can write it reads
#   one short file, and compares it with a name. When it fails itself the gateway is started all the same.
#
# It does not judge what a version does in its minute: one that runs and reads nonsense is left by hand (docs/install.md).
# `trial`, in the version's folder: the name of the one before, by install.sh, and one line for each start, and for each stop.
set -eu
umask 022

opt=${DESTDIR:-}${PREFIX:-/opt/gengfu}
unit=${DESTDIR:-}/usr/local/lib/systemd/system/gengfu.service
proved=${DESTDIR:-}${STATE_DIRECTORY:-/var/lib/gengfu}/proved
STARTS=3

say() { echo "gengfu: $*"; }

judge() { # is `current` on trial? When that is over, its file goes.
  new=$(readlink "$opt/current") && [ -e "$opt/$new/trial" ] || return 1
  read -r old <"$opt/$new/trial" || true
  if [ -x "$opt/$old/bin/gengfu" ]; then
    { [ -f "$proved" ] && [ "$(head -c 100 "$proved")" = "$new" ]; } || return 0
  fi
  rm -f "$opt/$new/trial"
  return 1
}

count() { grep -cx "$1" "$opt/$new/trial" || true; }

note() {
  echo "$1" >>"$opt/$new/trial"
  sync "$opt/$new/trial"
}

go_back() { # $1: why
  say "version $new is left, $1; $old runs again"
  say "版本 $new 未能运行，已退回 $old"
  echo "$new" >"$opt/undone" || true # a full disk is no reason to stay
  ln -sfn "$old" "$opt/current.new"
  sync
  mv -T "$opt/current.new" "$opt/current"
  sync
  rm -f "$opt/$new/trial"
}

settle() { # the unit file is the one of the version that runs
  own=$opt/current/service/gengfu.service
  if [ -e "$own" ] && [ -e "$unit" ] && ! cmp -s "$own" "$unit"; then
    cp "$own" "$unit.new"
    sync "$unit.new"
    mv -T "$unit.new" "$unit"
    systemctl daemon-reload
  fi
}

begin() {
  if judge; then
    if [ $(($(count start) - $(count stop))) -ge $STARTS ]; then
      go_back "$STARTS starts did not come to a minute"
    else
      note start
    fi
  fi
  settle
}

end() { # SERVICE_RESULT, EXIT_STATUS: from the service manager
  case ${SERVICE_RESULT:-}/${EXIT_STATUS:-} in
    timeout/*) why="it hung" ;;
    */78) why="it found no usable site" ;;
    success/*) why= ;;
    *) return 0 ;;
  esac
  judge && [ "$(count start)" != 0 ] || return 0 # else it was the old version that ended
  if [ -z "$why" ]; then
    job=$(systemctl show --property Job --value gengfu.service || true)
    [ "${job:-0}" = 0 ] || note stop # 0: nobody has asked for this end
  else
    go_back "$why"
    settle
    [ "${EXIT_STATUS:-}" != 78 ] || systemctl --no-block restart gengfu.service # nobody else does after 78
  fi
}

case ${1:-} in
  begin) begin ;;
  end) end ;;
  judge) judge || true ;;
  *) say "usage: trial.sh begin|end|judge" >&2; exit 2 ;;
esac
