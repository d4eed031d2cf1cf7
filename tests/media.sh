#!/bin/sh
# media.sh NAME.EXT [rv-mkmedia options]: makes a test clip once, prints its path.
#
# The clip is kept in build/tests/media under a name that holds a sum of the
# options and of the maker, so it is made anew when either changes.  Safe to
# call from several tests at a time: it is written beside and renamed.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
make=${RV_MKMEDIA:-$root/build/tests/rv-mkmedia}
folder=${RV_MEDIA:-$root/build/tests/media}

case ${1-} in
?*.?*) ;;
*)
    echo "media.sh: '${1-}' is no file name with an ending; give e.g. film.mkv" >&2
    exit 2
    ;;
esac
name=$1
shift
if [ ! -x "$make" ]; then
    echo "media.sh: $make is not there; run make test-tools first" >&2
    exit 3
fi

sum=$({ printf '%s\n' "$@"; cat "$make"; } | cksum | cut -d ' ' -f 1)
path=$folder/${name%.*}-$sum.${name##*.}
if [ ! -e "$path" ]; then
    mkdir -p "$folder"
    exec 9>"$folder/.lock-$sum"
    flock 9
    if [ ! -e "$path" ]; then
        part=$folder/.part-$$-$name
        "$make" --out "$part" "$@" || { rm -f "$part"; exit 1; }
        mv "$part" "$path"
    fi
fi
printf '%s\n' "$path"
