#!/bin/bash
# fresh-debian.sh [--keep] [COMMAND]: does this tree work on a bare Debian 12?
#
# Makes a minimal root with debootstrap, clones the committed tree into it,
# installs git and make there and nothing else, and runs `make check` and a
# demo of 20 s, or COMMAND instead.  Mounts and processes live in namespaces of
# their own and end with this script.  Needs root and the Debian mirror.
#
#   FRESH_ROOT    where the root is made (a new folder below /var/tmp)
#   FRESH_MIRROR  Debian mirror (that of this machine, else deb.debian.org)
set -euo pipefail

keep=
if [ "${1-}" = --keep ]; then
    keep=yes
    shift
fi
command=${1:-'make check && DEMO_SECONDS=20 make demo'}

if [ "$(id -u)" -ne 0 ]; then
    echo "fresh-debian.sh: making a Debian root needs root; run it with sudo" >&2
    exit 1
fi
if ! command -v debootstrap >/dev/null; then
    echo "fresh-debian.sh: no debootstrap; run make deps first" >&2
    exit 1
fi

source=$(cd "$(dirname "$0")/.." && pwd)
mirror=${FRESH_MIRROR:-$(sed -n 's/^URIs: \(.*debian\)\/*$/\1/p; s/^deb \(\[[^]]*\] \)\?\(http[^ ]*\/debian\)\/* .*/\2/p' \
    /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list 2>/dev/null | head -1 || true)}
mirror=${mirror:-http://deb.debian.org/debian}
root=${FRESH_ROOT:-$(mktemp -d /var/tmp/retrovue-fresh.XXXXXX)}

say() {
    printf 'fresh-debian: %4d s: %s\n' "$SECONDS" "$*"
}

clean() {
    [ -n "$keep" ] || rm -rf --one-file-system -- "$root"
}
trap clean EXIT

if [ ! -x "$root/usr/bin/apt-get" ]; then
    say "debootstrap bookworm from $mirror into $root"
    debootstrap --variant=minbase bookworm "$root" "$mirror" >"$root.log" 2>&1 || {
        tail -n 20 "$root.log" >&2
        rm -f "$root.log"
        echo "fresh-debian.sh: debootstrap failed; see above" >&2
        exit 1
    }
    rm -f "$root.log"
fi
cat >"$root/etc/apt/sources.list" <<END
deb $mirror bookworm main
deb $mirror bookworm-updates main
deb ${mirror%/debian}/debian-security bookworm-security main
END
# how this machine reaches its mirror, if by a proxy
grep -lhis proxy /etc/apt/apt.conf.d/* /etc/apt/apt.conf 2>/dev/null |
    xargs -r cp -t "$root/etc/apt/apt.conf.d/" 2>/dev/null || true
cp -L /etc/resolv.conf /etc/hosts "$root/etc/"
# whom this machine trusts, for npm
cp -L /etc/ssl/certs/ca-certificates.crt "$root/root/trusted.crt" 2>/dev/null || :
printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
chmod 755 "$root/usr/sbin/policy-rc.d"

say "clone $(git -C "$source" rev-parse --short HEAD)"
rm -rf "$root/root/retrovue-playout"
git clone -q --no-hardlinks "$source" "$root/root/retrovue-playout"

cat >"$root/root/go" <<'END'
set -eu
export DEBIAN_FRONTEND=noninteractive
apt-get update -q >/tmp/apt.log 2>&1 || { cat /tmp/apt.log; exit 1; }
apt-get install -y -q --no-install-recommends git make ca-certificates \
    >/tmp/apt.log 2>&1 || { tail -n 20 /tmp/apt.log; exit 1; }
cd /root/retrovue-playout
sh -euc "$1"
END
say "in it: $command"
status=0
# shellcheck disable=SC2016
unshare --mount --pid --fork --kill-child --mount-proc bash -c '
    set -eu
    mount --rbind /dev "$1/dev"
    mount -t tmpfs -o mode=1777 tmpfs "$1/dev/shm"
    mount -t proc proc "$1/proc"
    mount -t tmpfs -o mode=1777 tmpfs "$1/tmp"
    exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=dumb \
        NODE_EXTRA_CA_CERTS=/root/trusted.crt \
        ${http_proxy:+http_proxy="$http_proxy"} chroot "$1" sh /root/go "$2"
' - "$root" "$command" </dev/null || status=$?
if [ "$status" -eq 0 ]; then
    say "good"
else
    say "FAILED with status $status"
fi
[ -z "$keep" ] || say "kept in $root"
exit "$status"
