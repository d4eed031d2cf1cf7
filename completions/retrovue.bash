# Completion of the rv-* programs for bash: options as --help tells them, so
# they are never out of date; verbs of rv-ctl; else files.

_rv_options() {
    "$@" --help 2>/dev/null | grep -oE -- '(^| )--[a-z][a-z0-9-]*=?' | tr -d ' ' | sort -u
}

_rv_verbs='serve run start update stop load switch status version'

_rv() {
    local program=$1 current=$2 before=$3 verb='' word
    COMPREPLY=()
    if [ "${program##*/}" = rv-ctl ]; then
        for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
            case " $_rv_verbs " in
            *" $word "*)
                verb=$word
                break
                ;;
            esac
        done
    fi
    if [[ $current == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$(_rv_options "$program" $verb)" -- "$current")
        if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *= ]]; then
            compopt -o nospace 2>/dev/null
        fi
    elif [ "${program##*/}" = rv-ctl ] && [ -z "$verb" ] && [[ $before != --* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$_rv_verbs" -- "$current")
    else
        mapfile -t COMPREPLY < <(compgen -f -- "$current")
        compopt -o filenames 2>/dev/null
    fi
}

complete -F _rv rv-plan rv-decode rv-stage rv-render rv-http rv-ctl rv-metrics rv-tap
