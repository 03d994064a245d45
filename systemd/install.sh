#!/bin/sh
# `make install` and `make uninstall`. 安装与卸载。
#
# Guarantees
# * Each version is a folder of its own below PREFIX (/opt/gengfu); `current` names the one that runs and is switched by
#   one rename(2), after the new one is complete, on the disk, has run (with an empty site, aside), and accepts the site
#   file that the old one accepts. A failure, a kill or a power cut before that leaves everything as it was; after it, the
#   next start puts right what is missing (trial.sh).
# * A new version is on trial: one that does not come to a minute of running is left by itself for the one before.
# * Dependencies come from requirements-runtime.lock, each file checked by its hash; nothing comes from a cache that
#   others can write, and nothing that is installed can be written by anybody but its owner.
# * /var/lib/gengfu is never touched, a site file that is there neither; uninstall keeps both, and the user.
#
# It does not restart a running gateway: it says how. It knows no signatures: it installs the source that it lies in. DESTDIR stages into a folder; users are then not made.
# Given by the Makefile: UV (command), PYTHON (interpreter of the installed gateway), PREFIX, DESTDIR.
set -eu
umask 022
cd "$(dirname "$0")/.."

DESTDIR=${DESTDIR:-}
PREFIX=${PREFIX:-/opt/gengfu}
opt=$DESTDIR$PREFIX
lib=$DESTDIR/usr/local/lib
command=$DESTDIR/usr/local/bin/gengfu
site=$DESTDIR/etc/gengfu/site.yaml

say() { echo "gengfu: $*"; }
die() { say "$*" >&2; exit 1; }

must_be_root() {
  [ -n "$DESTDIR" ] || [ "$(id -u)" = 0 ] || die "needs root: sudo make $1 需要 root 权限"
}

python_is_fit() {
  "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || die "$PYTHON is older than Python 3.11 版本过低"
  [ -n "$DESTDIR" ] && return
  case $("$PYTHON" -c 'import os, sys; print(os.path.realpath(sys.executable))') in
    /home/* | /root/*) die "$PYTHON lies in a home, which the service cannot see; give PYTHON=/usr/bin/python3" ;;
  esac
}

build() { # $1: where to
  work=$(mktemp -d)
  trap 'rm -rf "$work" "$opt/.new"' EXIT
  env $UV build --quiet --wheel --no-cache --require-hashes --build-constraints requirements.lock --out-dir "$work" .
  env $UV venv --quiet --relocatable --python "$PYTHON" "$1"
  env $UV pip sync --quiet --no-cache --link-mode copy --compile-bytecode --require-hashes --python "$1" \
    requirements-runtime.lock
  env $UV pip install --quiet --no-cache --link-mode copy --compile-bytecode --no-deps --python "$1" "$work"/*.whl
  rm -f "$1/.lock"     # uv's own, which everybody could write
  chmod -R go-w "$1"
}

accepts() { "$1/bin/gengfu" check "$site" >/dev/null 2>&1; }

runs() { # $1: does its daemon come up, answer, and end in order? With a site of nothing, in $work
  sed "s|/run/gengfu|$work|; s|/var/lib/gengfu|$work|" systemd/site.yaml >"$work/site.yaml"
  timeout --foreground 60 "$1/bin/gengfu" run "$work/site.yaml" 2>"$work/log" &
  daemon=$!
  left=300 # tenths of a second
  until [ -S "$work/control.sock" ] && "$1/bin/gengfu" status --socket "$work/control.sock" >"$work/status" 2>&1; do
    left=$((left - 1))
    [ $left != 0 ] && kill -0 $daemon 2>/dev/null || break
    sleep 0.1
  done
  kill $daemon 2>/dev/null || true
  wait $daemon && [ $left != 0 ]
}

is_fit() { # $1: a complete version, before anything is switched to it
  if ! runs "$1"; then
    tail -n 20 "$work/log" "$work/status" >&2 || true
    die "the new version does not run; nothing was changed 新版本无法运行，未作更改"
  fi
  if [ -e "$site" ] && [ -e "$opt/current" ] && accepts "$opt/current" && ! accepts "$1"; then
    "$1/bin/gengfu" check "$site" >&2 || true
    die "the new version refuses $site; nothing was changed 新版本不接受现有站点文件，未作更改"
  fi
}

put_on_trial() { # $1: a version, $2: its name; what to go back to is the last one that has proved itself
  [ -e "$opt/current" ] || return 0
  DESTDIR=$DESTDIR PREFIX=$PREFIX sh systemd/trial.sh judge
  before=$(readlink "$opt/current")
  for mark in "$opt/current"/trial.?; do
    [ ! -L "$mark" ] || before=$(readlink "$mark")
  done
  ln -s "$before" "$1/trial.0"
  echo "$2" >"$1/undone" # all that trial.sh needs: on a full disk it could not make it
}

switch_to() { # $1: a version's name
  sync
  ln -sfn "$1" "$opt/current.new"
  mv -T "$opt/current.new" "$opt/current"
  sync
}

put() { # $1: file, $2: where to; whole or not at all, and through no link that the gateway's user put into /etc/gengfu
  mkdir -p "$(dirname "$2")"
  sed "s|/opt/gengfu|$PREFIX|g" "$1" >"$work/put"
  install -m 0644 -T "$work/put" "$2.new"
  sync "$2.new"
  mv -T "$2.new" "$2"
}

install_all() {
  must_be_root install
  python_is_fit
  mkdir -p "$opt"
  exec 9>"$opt/.lock"
  flock -n 9 || die "another installation is under way 另一个安装正在进行"
  version=$(sed -n 's/^__version__ = "\(.*\)"$/\1/p' gateway/__init__.py)
  name=$version
  again=1
  # The same version once more: what runs is not written over, and what an earlier one proved is not said of this one.
  while [ -e "$opt/$name" ] || [ -e "$DESTDIR/var/lib/gengfu/proved-$name" ]; do
    again=$((again + 1))
    name=$version-$again
  done
  rm -rf "$opt/.new"
  build "$opt/.new"
  put systemd/gengfu.service "$opt/.new/service/gengfu.service"
  put systemd/trial.sh "$opt/.new/service/trial.sh"
  is_fit "$opt/.new"
  put_on_trial "$opt/.new" "$name"
  mv -T "$opt/.new" "$opt/$name"
  switch_to "$name"
  rm -f "$opt/undone"
  mkdir -p "$(dirname "$command")"
  ln -sfn "$PREFIX/current/bin/gengfu" "$command"
  put systemd/gengfu.service "$lib/systemd/system/gengfu.service"
  put systemd/gengfu.sysusers "$lib/sysusers.d/gengfu.conf"
  put systemd/gengfu.tmpfiles "$lib/tmpfiles.d/gengfu.conf"
  [ -e "$site" ] || put systemd/site.yaml "$site"
  [ -n "$DESTDIR" ] || announce
  say "installed $name in $opt 已安装"
}

announce() { # to this machine's service manager
  systemd-sysusers "$lib/sysusers.d/gengfu.conf"
  systemd-tmpfiles --create "$lib/tmpfiles.d/gengfu.conf"
  [ -d /run/systemd/system ] || return 0
  systemctl daemon-reload
  if systemctl --quiet is-active gengfu; then
    say "the old version still runs; now: systemctl restart gengfu; if the new one does not run, the old one comes back"
    say "旧版本仍在运行，请重启服务；新版本若无法运行，自动退回旧版本"
  else
    say "edit $site, then: systemctl enable --now gengfu 修改站点文件后启用服务"
  fi
}

uninstall_all() {
  must_be_root uninstall
  if [ -z "$DESTDIR" ] && [ -d /run/systemd/system ]; then
    systemctl disable --now gengfu || true # it may never have been enabled
  fi
  rm -f "$lib/systemd/system/gengfu.service" "$lib/sysusers.d/gengfu.conf" "$lib/tmpfiles.d/gengfu.conf"
  if [ "$(readlink "$command" || true)" = "$PREFIX/current/bin/gengfu" ]; then
    rm -f "$command"
  fi
  rm -f "$opt/current" "$opt/current.new" "$opt/undone"
  for version in "$opt"/*/ "$opt"/.new/; do # only what this script has made
    if [ -e "$version/pyvenv.cfg" ]; then
      rm -rf "$version"
    fi
  done
  rm -f "$opt/.lock"
  rmdir "$opt" 2>/dev/null || true
  if [ -z "$DESTDIR" ] && [ -d /run/systemd/system ]; then
    systemctl daemon-reload
  fi
  say "removed. Kept: $DESTDIR/var/lib/gengfu (journal), $DESTDIR/etc/gengfu (configuration), the user gengfu."
  say "已卸载；保留：日志 /var/lib/gengfu、配置 /etc/gengfu、用户 gengfu。"
}

case ${1:-} in
  install) install_all ;;
  uninstall) uninstall_all ;;
  *) die "usage: install.sh install|uninstall" ;;
esac
