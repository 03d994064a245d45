# The machine as the service sees it, in a mount name space of its own (unshare --mount): user and folders made by the
# project's own sysusers and tmpfiles files, everything read-only but the service's three folders and /tmp, no homes, no
# capabilities. Nothing of it reaches the real machine.
#   sh world.sh INSTALLED SOURCE SITE-FOLDER LIMITS.json COMMAND…
set -eu
installed=$1 source=$2 site=$3 limits=$4
shift 4

mount -t tmpfs none /var/lib
stage=/var/lib/stage
mkdir $stage $stage/etc $stage/site
cp -a /etc/. $stage/etc/
cp -a "$site"/. $stage/site/
install -m 0644 "$source/tests/systemd/confine.py" "$source/systemd/gengfu.sysusers" "$source/systemd/gengfu.tmpfiles" \
  "$limits" $stage/
limits=$stage/$(basename "$limits")
mount --bind $stage/etc /etc
mount -t tmpfs none /opt
mkdir /opt/gengfu
mount --bind "$installed/opt/gengfu" /opt/gengfu
for folder in /run /tmp /root /home; do mount -t tmpfs none $folder; done
chmod 1777 /tmp
chmod 0700 /root /home

systemd-sysusers $stage/gengfu.sysusers >/dev/null 2>&1
systemd-tmpfiles --create $stage/gengfu.tmpfiles
install -m 0644 $stage/site/site.yaml /etc/gengfu/
if [ -d $stage/site/pki ]; then
  install -o gengfu -g gengfu -m 0600 $stage/site/pki/* /etc/gengfu/pki/
fi
install -d -o gengfu -g gengfu -m 0700 /var/lib/gengfu
install -d -o gengfu -g gengfu -m 0750 /run/gengfu

writable="/var/lib/gengfu /run/gengfu /etc/gengfu /tmp"
for folder in $writable; do mount --bind "$folder" "$folder"; done
for folder in / /usr /etc /opt /opt/gengfu /var/lib /run /root /home; do
  if mountpoint -q $folder; then mount -o remount,bind,ro $folder; fi
done

cd /var/lib/gengfu
umask 0077
exec setpriv --reuid=gengfu --regid=gengfu --init-groups --bounding-set=-all --inh-caps=-all --no-new-privs -- \
  /opt/gengfu/current/bin/python $stage/confine.py "$limits" "$@"
