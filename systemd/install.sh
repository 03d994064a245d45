#!/bin/sh
# `make install` and `make uninstall`. 安装与卸载。
#
# Guarantees
# * Each version is a folder of its own below PREFIX (/opt/gengfu); `current` names the one that runs and is switched by
#   one rename(2), after the new one is complete, on the disk, starts, and accepts the site file that the old one accepts.
#   A failure or a power cut before that leaves everything as it was.
# * Dependencies come from requirements-runtime.lock, each file checked by its hash; nothing comes from a cache that
#   others can write, and nothing that is installed can be written by anybody but its owner.
# * /var/lib/gengfu is never touched, a site file that is there neither; uninstall keeps both, and the user.
#
# It does not restart a running gateway: it says how. DESTDIR stages into a folder; users are then not made.
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

is_fit() { # $1: a complete version, before anything is switched to it
  "$1/bin/gengfu" --help >/dev/null || die "the new version does not start; nothing was changed 新版本无法启动，未作更改"
  if [ -e "$site" ] && [ -e "$opt/current" ] && accepts "$opt/current" && ! accepts "$1"; then
    "$1/bin/gengfu" check "$site" >&2 || true
    die "the new version refuses $site; nothing was changed 新版本不接受现有站点文件，未作更改"
  fi
}

switch_to() { # $1: a version's name
  sync
  ln -sfn "$1" "$opt/current.new"
  mv -T "$opt/current.new" "$opt/current"
  sync
}

put() { # $1: file, $2: where to; whole or not at all
  mkdir -p "$(dirname "$2")"
  sed "s|/opt/gengfu|$PREFIX|g" "$1" >"$2.new"
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
  while [ -e "$opt/$name" ]; do # the same version once more: what runs is not written over
    again=$((again + 1))
    name=$version-$again
  done
  rm -rf "$opt/.new"
  build "$opt/.new"
  is_fit "$opt/.new"
  mv -T "$opt/.new" "$opt/$name"
  switch_to "$name"
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
    say "the old version still runs; now: systemctl restart gengfu 旧版本仍在运行，请重启服务"
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
  rm -f "$opt/current" "$opt/current.new"
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
