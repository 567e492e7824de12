#!/bin/sh
# Sends one WebSocket handshake with curl and names what is wrong with the
# answer, by the names that check-websocket and nginx's module use. For hosts
# where neither is installed: it needs a POSIX shell and curl, nothing else.
set -u

usage() {
    cat <<'END'
Usage: check-websocket.sh [-k] [-q] [-t SECONDS] [-o ORIGIN] [-p NAME] [-H HEADER] URL

Sends a WebSocket handshake to URL (ws://, wss://, http:// or https://) and
names what is wrong with the answer.

  -k          go on with a certificate that can't be trusted
  -q          print nothing if it works
  -t SECONDS  how long to wait for the connection, and for the answer (10)
  -o ORIGIN   Origin to send; the URL's own without it
  -p NAME     subprotocols to offer
  -H HEADER   another header, as "Name: value"; may be repeated

Exit status: 0 it works, 1 it fails, 2 the command line is wrong.
What it can't tell apart, check-websocket can.
END
}

# The example of RFC 6455: its answer is known without computing a digest.
KEY='dGhlIHNhbXBsZSBub25jZQ=='
ACCEPT='s3pPLMBiTxaQ9kYGzzhZRbK+xOo='

quiet='' limit=10 origin='' protocols='' insecure=''

main() {
    # POSIX has no mktemp. mkdir fails where someone else was first.
    umask 077
    directory=${TMPDIR:-/tmp}/check-websocket.$$
    mkdir "$directory" || exit 2
    headers=$directory/headers
    : >"$headers"
    trap clean EXIT
    trap 'exit 1' HUP INT TERM
    while getopts 'kqt:o:p:H:h' option; do
        case $option in
            k) insecure=yes ;;
            q) quiet=yes ;;
            t) limit=$OPTARG ;;
            o) origin=$OPTARG ;;
            p) protocols=$OPTARG ;;
            H) printf '%s\n' "$OPTARG" >>"$headers" ;;
            h) usage; exit 0 ;;
            *) usage >&2; exit 2 ;;
        esac
    done
    shift $((OPTIND - 1))
    [ $# -eq 1 ] || { usage >&2; exit 2; }
    case $limit in
        '' | *[!0-9]* | 0) mistake "-t takes a whole number of seconds" ;;
    esac
    case $1 in
        ws://?* | http://?*) url=http://${1#*://} ;;
        wss://?* | https://?*) url=https://${1#*://} ;;
        *) mistake "$1 does not begin with ws:// or wss://" ;;
    esac
    command -v curl >/dev/null 2>&1 || mistake "curl is missing"
    authority=${url#*://}
    [ -n "$origin" ] || origin=${url%%://*}://${authority%%[/?]*}

    shake_hands
    judge
}

mistake() {
    printf 'error: %s\n' "$1" >&2
    exit 2
}

# shellcheck disable=SC2317 # the trap calls it
clean() {
    stop_curl
    rm -rf "$directory"
}

# shellcheck disable=SC2317 # clean calls it too
stop_curl() {
    [ -s "$directory/status" ] || [ ! -s "$directory/pid" ] || kill "$(cat "$directory/pid")" 2>/dev/null
}

# ---- the handshake ----------------------------------------------------------

# After a 101 curl would wait for more, so it is ended as soon as the head of
# the answer is there. Leaves curl's exit status in `status`.
shake_hands() {
    set -- --silent --show-error --globoff --no-buffer --http1.1 --noproxy '*' \
        --connect-timeout "$limit" --max-time "$((limit * 2))" \
        --dump-header "$directory/head" --output "$directory/body" \
        --write-out '%{time_connect} %{time_appconnect}\n' \
        --header 'Connection: Upgrade' --header 'Upgrade: websocket' \
        --header 'Sec-WebSocket-Version: 13' --header "Sec-WebSocket-Key: $KEY" \
        --header "Origin: $origin"
    [ -z "$insecure" ] || set -- "$@" --insecure
    [ -z "$protocols" ] || set -- "$@" --header "Sec-WebSocket-Protocol: $protocols"
    while IFS= read -r line; do
        set -- "$@" --header "$line"
    done <"$headers"
    : >"$directory/head"
    # A subshell that writes a file when curl ends: `wait` alone has no deadline.
    (
        curl "$@" --url "$url" >"$directory/times" 2>"$directory/error" &
        echo $! >"$directory/pid"
        wait $!
        echo $? >"$directory/status"
    ) &
    until [ -s "$directory/status" ]; do
        ! is_switched || break
        sleep 1
    done
    stop_curl
    wait $! 2>/dev/null
    status=$(cat "$directory/status")
}

# A complete head that says 101.
is_switched() {
    tr -d '\r' <"$directory/head" | awk '
        NR == 1 { switched = $2 == 101 }
        /^$/ { complete = 1 }
        END { exit !(switched && complete) }'
}

# header NAME   the values of a header, a line each.
header() {
    tr -d '\r' <"$directory/head" | awk -v name="$1" '
        BEGIN { name = tolower(name) ":" }
        tolower(substr($0, 1, length(name))) == name {
            value = substr($0, length(name) + 1)
            gsub(/^[ \t]+|[ \t]+$/, "", value)
            print value
        }'
}

# has_token NAME TOKEN   whether the comma list of that header holds it.
has_token() {
    header "$1" | tr ',' '\n' | tr -d ' \t' | grep -i -q -x -e "$2"
}

is_nginx_page() { grep -q '<hr><center>\(nginx\|openresty\)' "$directory/body" 2>/dev/null; }

# ---- the verdict ------------------------------------------------------------

judge() {
    answer=$(tr -d '\r' <"$directory/head" | awk '/^$/ { print line; exit } NR == 1 { line = $0 }')
    if [ -z "$answer" ]; then
        judge_silence
    fi
    code=$(printf '%s\n' "$answer" | awk '{ print $2 }')
    if [ "$code" = 101 ]; then
        judge_switch
    fi
    told=$(header X-WebSocket-Cause | head -n 1)
    case $told in
        '' | *[!a-z0-9-]*) ;;
        *) fails "$told" "\"$(shown "$answer")\" where 101 was expected, and the module says why" ;;
    esac
    judge_status
}

# What came was no answer: curl says why.
judge_silence() {
    # shellcheck disable=SC2046 # two numbers
    set -- $(cat "$directory/times" 2>/dev/null) 0 0
    said=$(sed -n 's/^curl: //p' "$directory/error" | head -n 1)
    said=$(shown "$said")
    case $status in
        3 | 43) mistake "$url is no address ($said)" ;;
        5 | 6) fails upstream-unresolved "$said" ;;
        7)
            case $said in
                *refused*) fails upstream-refused "$said" ;;
            esac
            # Older versions of curl leave the reason out.
            case $(LC_ALL=C curl --verbose --silent --noproxy '*' --max-time "$limit" --url "$url" 2>&1) in
                *refused*) fails upstream-refused "$said" ;;
            esac
            fails upstream-unreachable "$said"
            ;;
        28)
            is_zero "$1" && fails upstream-connect-timeout "$said"
            case $url in
                https:*) is_zero "$2" && fails upstream-tls-failed "$said" ;;
            esac
            fails upstream-response-timeout "$said"
            ;;
        35 | 51 | 53 | 54 | 58 | 59 | 60 | 66 | 77 | 80 | 82 | 83 | 90 | 91)
            fails upstream-tls-failed "$said"
            ;;
        1 | 8 | 61) fails upstream-response-invalid "$said" ;;
        *) fails upstream-closed "$said" ;;
    esac
}

is_zero() { case $1 in *[1-9]*) return 1 ;; esac; }

judge_switch() {
    header Upgrade | grep -i -q -x websocket ||
        fails response-upgrade "Upgrade is \"$(shown "$(header Upgrade)")\""
    has_token Connection upgrade ||
        fails response-connection "Connection is \"$(shown "$(header Connection)")\""
    accept=$(header Sec-WebSocket-Accept)
    [ -n "$accept" ] || fails accept-missing "no Sec-WebSocket-Accept header"
    [ "$accept" = "$ACCEPT" ] ||
        fails accept-mismatch "Sec-WebSocket-Accept is \"$(shown "$accept")\" where \"$ACCEPT\" was due"
    chosen=$(header Sec-WebSocket-Protocol)
    if [ -n "$chosen" ] && ! is_offered "$chosen"; then
        fails subprotocol-not-offered "Sec-WebSocket-Protocol is \"$(shown "$chosen")\""
    fi
    [ -z "$(header Sec-WebSocket-Extensions)" ] ||
        fails extension-not-offered "Sec-WebSocket-Extensions is \"$(shown "$(header Sec-WebSocket-Extensions)")\""
    [ -n "$quiet" ] || printf 'works: %s\n' "$(shown "$answer")"
    exit 0
}

is_offered() { printf '%s\n' "$protocols" | tr ',' '\n' | tr -d ' \t' | grep -q -x -F -e "$1"; }

judge_status() {
    seen="\"$(shown "$answer")\" where 101 was expected"
    if [ "$code" = 426 ] && has_token Upgrade websocket &&
        ! header Sec-WebSocket-Version | tr ',' '\n' | tr -d ' ' | grep -v -q -x -e 13 -e ''; then
        fails upgrade-missing "$seen, and the answer asks for the Upgrade that was sent"
    fi
    if is_nginx_page; then
        seen="$seen, with nginx's own page"
        case $code in
            502) fails upstream-error "$seen: the exact cause is in nginx's error log" ;;
            504) fails upstream-response-timeout "$seen: the exact cause is in nginx's error log" ;;
            301 | 302 | 303 | 307 | 308) fails local-redirect "$seen" ;;
            401) fails local-unauthorized "$seen" ;;
            403) fails local-forbidden "$seen" ;;
            404) fails local-not-found "$seen" ;;
            429 | 503) fails local-limited "$seen" ;;
            *) fails local-status "$seen" ;;
        esac
    fi
    case $code in
        2??) fails upstream-not-websocket "$seen" ;;
        301 | 302 | 303 | 307 | 308) fails upstream-redirect "$seen" ;;
        400) fails upstream-bad-request "$seen" ;;
        401) fails upstream-unauthorized "$seen" ;;
        403) fails upstream-forbidden "$seen" ;;
        404) fails upstream-not-found "$seen" ;;
        426) fails upstream-version "$seen" ;;
        429 | 503) fails upstream-overloaded "$seen" ;;
        5??) fails upstream-error "$seen" ;;
        *) fails upstream-status "$seen" ;;
    esac
}

# shown TEXT   what a server sent, without what a terminal would obey.
shown() { printf '%s' "$1" | LC_ALL=C tr -c ' -~' '?' | cut -c 1-128; }

# fails CAUSE SEEN   the verdict, and the end.
fails() {
    printf 'fails: %s: %s\n' "$1" "$2"
    exit 1
}

main "$@"
