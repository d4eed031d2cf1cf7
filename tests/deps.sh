#!/bin/sh
# deps.sh [build|check|all]: installs the Debian packages that are missing.
#
# Says what it installs, and is silent and quick (no network) when all is
# there.  `build` is what make and make demo need, `check` (the default) also
# what make check needs, `all` also what make check-all needs.
#
# One package a line; behind it the program that will do as well, if any.
set -eu

build_set='
gcc                     gcc
libc6-dev
make                    make
pkg-config              pkg-config
libavcodec-dev
libavfilter-dev
libavformat-dev
libavutil-dev
libswresample-dev
libswscale-dev
libx264-dev
libnghttp2-dev
libprotobuf-c-dev
protobuf-c-compiler     protoc-c
protobuf-compiler       protoc
libprotobuf-dev
libbsd-dev
libmicrohttpd-dev
libhttp-parser-dev
libjansson-dev
libseccomp-dev
libssl-dev
zlib1g-dev
ffmpeg                  ffmpeg
curl                    curl
jq                      jq
procps                  ps
'
check_set='
git                     git
bats                    bats
libcmocka-dev
clang-format            clang-format
mandoc                  mandoc
nghttp2-client          nghttp
bsdextrautils           column
python3                 /usr/bin/python3
python3-grpcio
python3-grpc-tools
python3-jsonschema
nodejs                  node
npm                     npm
python3-pkg-resources
iproute2                ss
'
all_set='
clang                   clang
valgrind                valgrind
strace                  strace
prometheus              promtool
debootstrap             /usr/sbin/debootstrap
'

# Older ones than this have known holes; bookworm's security archive has it.
nghttp2_least=1.52.0-1+deb12u3

case ${1-check} in
build) wanted=$build_set ;;
check) wanted=$build_set$check_set ;;
all) wanted=$build_set$check_set$all_set ;;
*)
    echo "deps.sh: no set '$1'; give build, check or all" >&2
    exit 2
    ;;
esac

if ! command -v dpkg-query >/dev/null; then
    echo "deps.sh: this is no Debian; install by hand what make needs:" >&2
    printf '%s\n' "$wanted" | awk 'NF { printf " %s", $1 } END { print "" }' >&2
    exit 1
fi

# Packages of the set that are neither installed nor replaced by a program.
missing() {
    names=$(printf '%s\n' "$wanted" | awk 'NF { print $1 }')
    # shellcheck disable=SC2086
    installed=$(dpkg-query -W -f '${Package} ${db:Status-Status}\n' $names \
        2>/dev/null | awk '$2 == "installed" { print $1 }')
    printf '%s\n' "$wanted" | while read -r package program; do
        [ -n "$package" ] || continue
        printf '%s\n' "$installed" | grep -qx "$package" && continue
        [ -n "$program" ] && command -v "$program" >/dev/null && continue
        echo "$package"
    done
}

# True when nghttp2 is old and the lists on this machine know a newer one.
nghttp2_is_old() {
    have=$(dpkg-query -W -f '${Version}' libnghttp2-14 2>/dev/null) || return 1
    dpkg --compare-versions "$have" ge "$nghttp2_least" && return 1
    offered=$(apt-cache policy libnghttp2-14 | awk '/Candidate:/ { print $2 }')
    dpkg --compare-versions "${offered:-0}" gt "$have"
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        echo "deps.sh: not root and no sudo; as root, run: $*" >&2
        exit 1
    fi
}

# Packages may bring a service; none is started here.
policy=/usr/sbin/policy-rc.d
own_policy=
hold_services() {
    [ -e $policy ] && return 0
    printf '#!/bin/sh\nexit 101\n' | as_root tee $policy >/dev/null
    as_root chmod 755 $policy
    own_policy=yes
}
release_services() {
    [ -z "$own_policy" ] || as_root rm -f $policy
    own_policy=
}

packages=$(missing)
if [ -z "$packages" ]; then
    nghttp2_is_old || exit 0
fi

# shellcheck disable=SC2086
echo "deps.sh: installing" ${packages:-newer libnghttp2-14} >&2
trap release_services EXIT
trap 'exit 130' INT TERM
hold_services
log=$(mktemp)
apt() {
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -y -q \
        -o Dpkg::Use-Pty=0 "$@" >"$log" 2>&1 || {
        tail -n 20 "$log" >&2
        rm -f "$log"
        echo "deps.sh: apt-get $1 failed; see above, then run make deps again" >&2
        exit 1
    }
}
apt update
# shellcheck disable=SC2086
[ -z "$packages" ] || apt install --no-install-recommends $packages
if nghttp2_is_old; then
    apt install --no-install-recommends --only-upgrade libnghttp2-14 libnghttp2-dev
fi
rm -f "$log"

left=$(missing)
if [ -n "$left" ]; then
    # shellcheck disable=SC2086
    echo "deps.sh: still missing:" $left >&2
    exit 1
fi
