#!/bin/sh
# A plan into an MPEG-TS file, as fast as the machine allows; the as-run log
# beside it.
#
#   plan-to-ts.sh PLAN OUT.ts ASRUN.ndjson
#
# The stage and the renderer meet in the ring "plan-to-ts-PID"; it does not
# matter which of the two starts first.
set -eu

plan=$1
out=$2
asrun=$3
ring=plan-to-ts-$$

rv-render --ring "$ring" --no-pace >"$out" &
renderer=$!
rv-plan resolve "$plan" | rv-decode | rv-stage --ring "$ring" >"$asrun"
wait "$renderer"
