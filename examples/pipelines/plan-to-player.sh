#!/bin/sh
# A plan into a player, without the channel in between: what rv-decode makes of
# it, uncompressed.
#
#   plan-to-player.sh PLAN [PLAYER...]
#
# PLAYER reads NUT on its standard input; ffplay by default.
set -eu

plan=$1
shift
[ $# -gt 0 ] || set -- ffplay -loglevel warning -autoexit -

rv-plan resolve "$plan" | rv-decode --nut | "$@"
