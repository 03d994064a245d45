#!/bin/sh
# The unit suite on aarch64 (R33), without such a machine: Debian 12 for arm64 under qemu's user emulation.
#
#   sudo sh tests/aarch64/run.sh FOLDER [arguments of pytest]
#
# Needs root, debootstrap, qemu-user-static and `make setup`; 1 GB in FOLDER, which is used again the next time.
# What runs is HEAD, with Debian's own Python and the wheels for aarch64 that requirements.lock names, each file checked
# by its hash. It is many times slower than the machine itself (hours), so nothing here is told of times; the tests
# of the daemon as a process, of faults and of systemd are left out (`SUITES`). Not part of CI.
set -eu
cd "$(dirname "$0")/../.."

SUITES=${SUITES:-tests/rules tests/drivers tests/firmware_sim tests/district tests/gateway}
folder=$1
shift
root=$folder/root
kernel=/proc/sys/fs/binfmt_misc

mkdir -p "$folder"
if ! [ -e $kernel/qemu-aarch64 ]; then # a booted Debian has done this already
  [ -e $kernel/register ] || mount -t binfmt_misc none $kernel
  grep . /usr/lib/binfmt.d/qemu-aarch64.conf >$kernel/register
fi
if ! [ -e "$root/ready" ]; then
  debootstrap --arch=arm64 --foreign --variant=minbase --include=python3.11,ca-certificates,openssl,mosquitto bookworm "$root" \
    "${MIRROR:-http://deb.debian.org/debian}"
  chroot "$root" /debootstrap/debootstrap --second-stage
  echo "127.0.0.1 localhost" >"$root/etc/hosts"
  # Also where a test starts a command without this environment.
  mkdir -p "$root/usr/local/lib/python3.11/dist-packages"
  printf '/gengfu\n/packages\n' >"$root/usr/local/lib/python3.11/dist-packages/gengfu.pth"
  touch "$root/ready"
fi
PYTHONPATH=.uv .uv/bin/uv pip sync --quiet --python .venv --target "$root/packages" --require-hashes \
  --only-binary :all: --python-platform aarch64-manylinux_2_28 --python-version 3.11 requirements.lock
rm -rf "$root/gengfu"
mkdir "$root/gengfu"
git archive HEAD | tar -x -C "$root/gengfu"

# The times of emulation are no finding: hypothesis has no deadline here, and pytest no cache.
cat >"$root/gengfu/emulated.py" <<'END'
from hypothesis import HealthCheck, settings

settings.register_profile("emulated", deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=30)
settings.load_profile("emulated")
END
exec unshare --mount --propagation private sh -eu -c '
  root=$1
  shift
  mount -t proc proc "$root/proc"
  mount --rbind /dev "$root/dev"
  mount -t tmpfs tmpfs "$root/tmp"
  exec chroot "$root" /usr/bin/env -i PATH=/packages/bin:/usr/bin:/bin HOME=/tmp LANG=C.UTF-8 PYTHONDONTWRITEBYTECODE=1 \
    PYTHONPATH=/gengfu:/packages nice -n 10 sh -c "cd /gengfu && exec \"\$@\"" sh "$@"
' sh "$root" /usr/bin/python3.11 -m pytest -p emulated -p no:cacheprovider -q $SUITES "$@"
