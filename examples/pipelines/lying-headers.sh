#!/bin/sh
# Files whose header tells another length than their pictures have, by more than
# a quarter of a second: name, what the header says, what is there, in seconds.
#
#   lying-headers.sh FILE...
set -eu

rv-decode --explain --json -- "$@" |
    jq -r 'select(.length.container_seconds != null) |
        select(.length | .container_seconds - .seconds | fabs > 0.25) |
        [.file, .length.container_seconds, .length.seconds] | @tsv'
