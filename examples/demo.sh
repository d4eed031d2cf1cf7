#!/bin/bash
# demo.sh: a channel on this machine, from nothing, in half a minute.
#
# Makes four clips with ffmpeg, writes a plan that loops, starts rv-ctl serve in
# a temporary run folder, starts channel 1 and shows what it does until Ctrl-C.
#
#   DEMO_SECONDS=20   end by itself after so long, and prove with ffprobe and
#                     ffmpeg that what was served can be played
#   DEMO_PORT=8090    port of the stream (default: a free one)
#   RV_BIN=DIR        where the programs are (default: build/bin, else PATH)
set -euo pipefail
export LC_ALL=C

here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
seconds=${DEMO_SECONDS:-0}
port=${DEMO_PORT:-0}
bin=${RV_BIN:-$here/build/bin}
[ -x "$bin/rv-ctl" ] || bin=$(dirname "$(command -v rv-ctl || echo /)")

die() {
    echo "demo: $*" >&2
    exit 1
}

[[ $seconds =~ ^[0-9]+$ ]] || die "DEMO_SECONDS: '$seconds' is no number of seconds"
[[ $port =~ ^[0-9]+$ && $port -le 65535 ]] || die "DEMO_PORT: '$port' is no port; give 1 to 65535"
[ -x "$bin/rv-ctl" ] || die "rv-ctl is not built; run make first, or make demo"
for tool in ffmpeg ffprobe curl jq; do
    command -v "$tool" >/dev/null || die "$tool is missing; run make deps"
done

base=/dev/shm
[ -w "$base" ] || base=${TMPDIR:-/tmp}
work=$(mktemp -d "$base/retrovue-demo.XXXXXX")
server=
viewer=

finish() {
    local status=$?
    trap - EXIT INT TERM
    [ -z "$viewer" ] || kill "$viewer" 2>/dev/null || true
    if [ -n "$server" ] && kill -TERM "$server" 2>/dev/null; then
        wait "$server" || status=$?
    fi
    [ ! -t 1 ] || printf '\n'
    if [ "$status" -ne 0 ] && [ -s "$work/log" ]; then
        echo "demo: the last lines of the log:" >&2
        tail -5 "$work/log" >&2
    fi
    rm -rf -- "$work"
    [ "$status" -ne 0 ] || echo "demo: stopped, nothing is left"
    exit "$status"
}
trap finish EXIT
trap 'exit 0' INT TERM

# --- clips -------------------------------------------------------------------

# Text in the picture, where this ffmpeg can draw text and has a font.
font=$(fc-match -f '%{file}' monospace 2>/dev/null || true)
[ -f "$font" ] || font=$(find /usr/share/fonts -name '*.ttf' 2>/dev/null | sed -n 1p)
has_text=no
if [ -n "$font" ] && ffmpeg -hide_banner -filters 2>/dev/null | grep -q ' drawtext '; then
    has_text=yes
fi

# clip NAME SECONDS SOURCE TONE TITLE
clip() {
    local draw=null
    [ $has_text = no ] || draw="drawtext=fontfile=$font:text='$5  %{pts\\:hms}':x=40:y=h-90:fontsize=44:fontcolor=white:box=1:boxcolor=black@0.6:boxborderw=12"
    ffmpeg -nostdin -v error -y \
        -f lavfi -i "$3=size=1280x720:rate=30000/1001" \
        -f lavfi -i "$4:sample_rate=48000" \
        -t "$2" -vf "$draw,format=yuv420p" -af 'volume=0.2' -ac 2 \
        -c:v libx264 -preset ultrafast -g 60 -c:a aac -b:a 128k "$work/$1" ||
        die "ffmpeg could not make $1"
}

echo "demo: making four clips ..."
clip programme-1.mp4 12 testsrc2 'sine=frequency=330:beep_factor=4' 'PROGRAMME ONE'
clip programme-2.mp4 10 'mandelbrot' 'sine=frequency=262:beep_factor=3' 'PROGRAMME TWO'
clip commercial.mp4 5 smptehdbars 'sine=frequency=523' 'COMMERCIAL'
clip ident.mp4 3 rgbtestsrc 'sine=frequency=784:beep_factor=2' 'RETROVUE'

cat >"$work/plan.json" <<'PLAN'
{ "version": 1, "loop": true,
  "house": {"video": {"width": 1280, "height": 720, "frame_rate": "30000/1001"},
            "audio": {"sample_rate": 48000, "channels": 2}},
  "segments": [
    {"id": "ident",       "asset": "ident.mp4",       "duration": 3},
    {"id": "programme-1", "asset": "programme-1.mp4", "duration": 6},
    {"id": "commercial",  "asset": "commercial.mp4",  "duration": 5},
    {"id": "programme-1b", "asset": "programme-1.mp4", "in": 6, "duration": 6},
    {"id": "programme-2", "asset": "programme-2.mp4", "duration": 10} ] }
PLAN

# --- the channel -------------------------------------------------------------

ctl() {
    "$bin/rv-ctl" --address "unix:$socket" "$@"
}

"$bin/rv-ctl" serve --run-dir "$work/run" --state-dir "$work/state" \
    --plan-dir "$work" --listen 127.0.0.1:0 --metrics 127.0.0.1:0 \
    --http-port "$port" >"$work/serve.json" 2>"$work/log" &
server=$!
until [ -s "$work/serve.json" ]; do
    kill -0 "$server" 2>/dev/null || die "rv-ctl serve ended"
    sleep 0.05
done
socket=$(jq -r .socket "$work/serve.json")

said=$(ctl start 1 plan.json) || die "the channel could not be started"
url=${said##* }

state() {
    ctl status --json 2>/dev/null | jq -r '.[0]
        | "\(.state)\t\(.depth)\t\(.lead_ms)\t\(.viewers)\t\(.segment)\t\(.frame)"'
}

for ((try = 0; ; try++)); do
    IFS=$'\t' read -r is depth lead viewers segment frame < <(state) || true
    [ "${is:-}" != ready ] || [ "${frame:-0}" -le 0 ] || break
    [ $try -lt 200 ] || die "the channel is not ready after 10 s"
    sleep 0.05
done

cat <<TEXT

  The channel plays.  Watch it with any player, for example

      ffplay $url
      mpv $url
      vlc $url

  metrics     http://$(jq -r .metrics "$work/serve.json")/metrics
  gRPC        $(jq -r .grpc "$work/serve.json")  and  unix:$socket
  talk to it  $bin/rv-ctl --address unix:$socket status

TEXT

# --- until the end -----------------------------------------------------------

if [ "$seconds" -gt 0 ]; then
    curl -s --max-time "$seconds" -o "$work/seen.ts" "$url" &
    viewer=$!
else
    echo "  Ctrl-C ends it."
    echo
fi

begin=$SECONDS
while [ "$seconds" -eq 0 ] || [ $((SECONDS - begin)) -lt "$seconds" ]; do
    kill -0 "$server" 2>/dev/null || die "rv-ctl serve ended"
    if IFS=$'\t' read -r is depth lead viewers segment frame < <(state); then
        line=$(printf '%-9s  frame %-7s  %3s staged  lead %4s ms  %s viewers  on air: %s' \
            "$is" "$frame" "$depth" "$lead" "$viewers" "$segment")
        if [ -t 1 ]; then
            printf '\r\033[K  %s' "$line"
        else
            echo "  $line"
        fi
    fi
    if [ -t 1 ]; then sleep 0.25; else sleep 2; fi
done

# --- the proof ---------------------------------------------------------------

wait "$viewer" || true
viewer=
[ -s "$work/seen.ts" ] || die "the viewer got nothing"
[ ! -t 1 ] || printf '\n'
codecs=$(ffprobe -v error -show_entries stream=codec_name -of csv=p=0 \
    "$work/seen.ts" | grep -v '^$' | sort -u | paste -sd ' ')
[ "$codecs" = "aac h264" ] || die "ffprobe sees '$codecs', not H.264 and AAC"
pictures=$(ffprobe -v error -select_streams v:0 -count_packets \
    -show_entries stream=nb_read_packets -of csv=p=0 "$work/seen.ts" | sed -n 1p)
pictures=${pictures%%,*}
[ "$pictures" -gt $(((seconds - 1) * 25)) ] ||
    die "$pictures pictures in $seconds s are too few"
ffmpeg -nostdin -v error -xerror -i "$work/seen.ts" -f null - ||
    die "ffmpeg cannot decode what was served without an error"
echo "demo: $pictures pictures in $seconds s, H.264 and AAC, decoded without an error"
