#!/bin/sh
# Sends one WebSocket handshake with curl and names what is wrong with the
# answer, by the names that check-websocket and nginx's module use, and with
# their advice. For hosts where neither is: all it needs is a shell and curl. So
# it is one file, and longer than others are.
set -u

usage() {
    cat <<'END'
Usage: check-websocket.sh [-k] [-q] [-t SECONDS] [-o ORIGIN] [-p NAME] [-H HEADER] URL

Sends a WebSocket handshake to URL (ws://, wss://, http:// or https://) and
names what is wrong with the answer, with advice. Where nginx refuses, one
request without Upgrade tells whether Upgrade reaches the upstream.

  -k          go on despite a certificate that can't be trusted
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
AGENT='check-websocket.sh'
LINE_END='
'
# Of an answer, in blocks of 512 bytes: one may have no end.
MOST=512
quiet='' limit=10 origin='' protocols='' insecure='' problem='' advice='' change=''

main() {
    # POSIX has no mktemp. mkdir fails where someone else was first, or a run that was
    # killed has left its own: then it is another name.
    umask 077
    tries=0
    until directory=${TMPDIR:-/tmp}/check-websocket.$$.$tries && mkdir "$directory" 2>/dev/null; do
        tries=$((tries + 1))
        [ "$tries" -lt 100 ] || mistake "no directory can be made in ${TMPDIR:-/tmp}"
    done
    headers=$directory/headers
    : >"$headers"
    trap clean EXIT
    trap 'exit 1' HUP INT TERM
    while getopts 'kqt:o:p:H:h' option; do
        case $option in
            k) insecure=yes ;;
            q) quiet=yes ;;
            t) limit=$(seconds "$OPTARG") || mistake "-t takes a whole number of seconds, up to a day" ;;
            o) origin=$OPTARG ;;
            p) protocols=$OPTARG ;;
            H) header_given "$OPTARG" ;;
            h) usage; exit 0 ;;
            *) usage >&2; exit 2 ;;
        esac
    done
    shift $((OPTIND - 1))
    [ $# -eq 1 ] || { usage >&2; exit 2; }
    command -v curl >/dev/null 2>&1 || mistake "curl is missing"
    take_address "$1"

    shake_hands
    judge
}

# Leaves the address in `url`, with its host in small letters as browsers have it,
# and, unless one was given, in `origin` that of a page from there.
take_address() {
    case $1 in
        [Ww][Ss]://?* | [Hh][Tt][Tt][Pp]://?*) scheme=http default=80 ;;
        [Ww][Ss][Ss]://?* | [Hh][Tt][Tt][Pp][Ss]://?*) scheme=https default=443 ;;
        *) mistake "$1 does not begin with ws:// or wss://" ;;
    esac
    rest=${1#*://}
    authority=${rest%%[/?#]*}
    rest=${rest#"$authority"}
    # A page's origin has no credentials. curl makes a header of them.
    host=${authority##*@}
    credentials=${authority%"$host"}
    host=$(printf '%s' "$host" | LC_ALL=C tr '[:upper:]' '[:lower:]')
    host=${host%:"$default"}
    url=$scheme://$credentials$host$rest
    [ -n "$origin" ] || origin=$scheme://$host
}

# seconds TEXT   the number, without zeros in front, which would make it octal.
seconds() {
    case $1 in '' | *[!0-9]*) return 1 ;; esac
    number=$(printf '%s' "$1" | sed 's/^0*//')
    [ -n "$number" ] && [ "${#number}" -le 5 ] && [ "$number" -le 86400 ] && printf '%s' "$number"
}

# curl would read a file for one that begins with @, and a line end makes two.
header_given() {
    case $1 in
        @* | *"$LINE_END"*) mistake "-H takes \"Name: value\"" ;;
        *:*) printf '%s\n' "$1" >>"$headers" ;;
        *) mistake "-H takes \"Name: value\"" ;;
    esac
}

# line TEXT   the only way to the terminal: nothing in it is obeyed there.
line() {
    printf '%s' "$1" | LC_ALL=C tr -c ' -~' '?'
    echo
}

mistake() {
    line "error: $1" >&2
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
    set -- --user-agent "$AGENT" \
        --header 'Connection: Upgrade' --header 'Upgrade: websocket' \
        --header 'Sec-WebSocket-Version: 13' --header "Sec-WebSocket-Key: $KEY"
    [ -z "$protocols" ] || set -- "$@" --header "Sec-WebSocket-Protocol: $protocols"
    : >"$directory/head"
    # A subshell that writes a file when curl ends: `wait` alone has no deadline. Some
    # shells say there that curl was terminated.
    (
        request '' "$@" >"$directory/times" 2>"$directory/error" &
        echo $! >"$directory/pid"
        wait $!
        echo $? >"$directory/status"
    ) 2>/dev/null &
    until [ -s "$directory/status" ]; do
        ! is_switched || break
        sleep 1
    done
    stop_curl
    wait $! 2>/dev/null || :
    status=$(cat "$directory/status")
}

# request NAME [OPTION...]   asks, and leaves the answer in NAMEhead and NAMEbody.
request() {
    name=$1
    shift
    set -- "$@" --silent --show-error --globoff --no-buffer --http1.1 --noproxy '*' \
        --connect-timeout "$limit" --max-time "$((limit * 2))" \
        --dump-header "$directory/${name}head" --output "$directory/${name}body" \
        --write-out '%{time_connect} %{time_appconnect}\n' --header "Origin: $origin"
    [ -z "$insecure" ] || set -- "$@" --insecure
    while IFS= read -r line; do
        set -- "$@" --header "$line"
    done <"$headers"
    bounded "$@" --url "$url"
}

# curl, without a file of its user's, and with an end to what it writes: more is an
# error of curl, as SIGXFSZ would be one of the shell.
bounded() {
    trap '' XFSZ
    ulimit -f "$MOST"
    exec curl --disable "$@"
}

# A complete head that says 101.
is_switched() {
    tr -d '\r' <"$directory/head" | awk '
        NR == 1 { switched = $2 "" == "101" }
        /^$/ { complete = 1 }
        END { exit !(switched && complete) }'
}

# header NAME [HEAD]   the values of a header, a line each.
header() {
    tr -d '\r' <"$directory/${2:-head}" | awk -v name="$1" '
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

# nginx puts its own name in the place of an upstream's.
is_from_nginx() { header Server | grep -E -i -q -x -e '(nginx|openresty|angie|tengine)(/.*)?'; }

# nginx makes the ETag of a file of the time of change and the length.
is_nginx_file() {
    length=$(header Content-Length | head -n 1 | tr -d -c 0-9)
    is_from_nginx && [ -n "$length" ] && header ETag | grep -q -x -e "\"[0-9a-f]*-$(printf '%x' "$length")\""
}

says() { grep -q -e "$1" "$directory/body" 2>/dev/null; }

# Whether a plain request has the same answer as the handshake: the same status
# and kind, and a body of the same length. It may hold a time or a number.
is_the_same_without_upgrade() {
    (request plain- --user-agent "$AGENT (without-upgrade)" --header 'Connection: close') >/dev/null 2>&1
    tr -d '\r' <"$directory/plain-head" >"$directory/lines" 2>/dev/null
    [ "$(status_of lines)" = "$code" ] &&
        [ "$(header Content-Type plain-head)" = "$(header Content-Type)" ] &&
        [ "$(size_of plain-body)" = "$(size_of body)" ]
}

# Three digits, and then nothing but a blank, or a point and what belongs to it.
status_of() { sed -n '1s/^HTTP\/[0-9.]* *\([0-9][0-9][0-9]\)\([ .].*\)\{0,1\}$/\1/p' "$directory/$1" 2>/dev/null; }
size_of() { wc -c 2>/dev/null <"$directory/$1" || echo 0; }

# ---- the verdict ------------------------------------------------------------

judge() {
    answer=$(tr -d '\r' <"$directory/head" | awk '/^$/ { print line; exit } NR == 1 { line = $0 }')
    [ -n "$answer" ] || judge_silence
    tr -d '\r' <"$directory/head" >"$directory/lines"
    code=$(status_of lines)
    [ -n "$code" ] || fails upstream-response-invalid "\"$(shown "$answer")\" is not a status line"
    [ "$code" != 101 ] || judge_switch
    told=$(header X-WebSocket-Cause | head -n 1)
    case $told in *[!a-z0-9-]*) told='' ;; esac
    [ -z "$(advice "$told")" ] ||
        fails "$told" "\"$(shown "$answer")\" where 101 was expected, and the module says why"
    judge_status
}

# What came was no answer: curl says why.
judge_silence() {
    # shellcheck disable=SC2046 # two numbers
    set -- $(cat "$directory/times" 2>/dev/null) 0 0
    said=$(sed -n 's/^curl: //p' "$directory/error" | head -n 1)
    said=$(shown "$said")
    case $status in
        3 | 43) mistake "$scheme://$host$rest is not a valid address ($said)" ;;
        5 | 6) fails upstream-unresolved "$said" ;;
        7)
            # Older versions of curl leave the reason out.
            case $said$(LC_ALL=C bounded --verbose --silent --noproxy '*' --max-time "$limit" --output /dev/null --url "$url" 2>&1) in
                *refused*) fails upstream-refused "$said" ;;
            esac
            fails upstream-unreachable "$said"
            ;;
        28)
            is_zero "$1" && fails upstream-connect-timeout "$said"
            case $url in
                https:*) is_zero "$2" && fails_in_tls tls-timeout ;;
            esac
            fails upstream-response-timeout "$said"
            ;;
        35 | 51 | 53 | 54 | 58 | 59 | 60 | 66 | 77 | 80 | 82 | 83 | 90 | 91)
            case $said in
                *'wrong version number'* | *'record layer'* | *'packet length'*) fails_in_tls not-tls ;;
                *'subject name'* | *'does not match'*) fails_in_tls certificate-name ;;
                *'not yet valid'*) fails_in_tls certificate-not-yet-valid ;;
                *expired*) fails_in_tls certificate-expired ;;
                *'self signed'* | *'self-signed'*) fails_in_tls certificate-self-signed ;;
                *'local issuer'*) fails_in_tls certificate-untrusted ;;
            esac
            fails_in_tls ''
            ;;
        1 | 8 | 61) fails upstream-response-invalid "$said" ;;
        *) fails upstream-closed "$said" ;;
    esac
}

# TLS is that of the address itself: proxy_pass has no part in it.
fails_in_tls() {
    problem=$1
    advice='check ssl in listen, ssl_certificate and ssl_protocols of the server block that listens here'
    fails upstream-tls-failed "$said"
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
    [ -n "$quiet" ] || line "works: $(shown "$answer")"
    exit 0
}

is_offered() { [ "${1#*"$LINE_END"}" = "$1" ] && printf '%s\n' "$protocols" | tr ',' '\n' | tr -d ' \t' | grep -q -x -F -e "$1"; }

judge_status() {
    seen="\"$(shown "$answer")\" where 101 was expected"
    if is_for_want_of_upgrade && has_token Upgrade websocket; then
        fails upgrade-missing "$seen, and the answer asks for the Upgrade that was sent"
    fi
    judge_listener
    ! is_slash_missing ||
        advice='open the address with the slash at its end, or add a "location =" for the one without, whose proxy_pass has the slash'
    ! is_nginx_page || judge_local "with nginx's own page"
    if is_nginx_file; then
        change='the address reaches a location that does not proxy'
        judge_local "with a file from nginx's disk: no upstream was asked"
    fi
    case $code in
        505) change='websocket on in the location that proxies, or proxy_http_version 1.1'
            fails http-version "$seen: HTTP/1.0 may have reached the backend" ;;
        30[12378] | 401 | 429 | 503) ;; # answered so to any request
        *) ! is_from_nginx || ! is_the_same_without_upgrade || forgotten ;;
    esac
    case $code in
        2??) fails upstream-not-websocket "$seen" ;;
        400) fails upstream-bad-request "$seen" ;;
        426) fails upstream-version "$seen" ;;
        503) fails upstream-overloaded "$seen" ;;
        5??) fails upstream-error "$seen" ;;
        *) fails "upstream-$(kind overloaded)" "$seen" ;;
    esac
}

# Whether it says that an upgrade is wanted, and no other version.
is_for_want_of_upgrade() {
    [ "$code" = 426 ] &&
        ! header Sec-WebSocket-Version | tr ',' '\n' | tr -d ' ' | grep -v -q -x -e 13 -e ''
}

# Whether it is a redirect to the same path with a slash behind it.
is_slash_missing() {
    case $code in 30[12378]) ;; *) return 1 ;; esac
    to=$(header Location | head -n 1) from=$url
    to=${to%%[?#]*} from=${from%%[?#]*}
    case $to in *://*) to=/${to#*://*/} ;; esac
    [ "$to" = "/${from#*://*/}/" ]
}

# kind LIMITED   what a status means, whoever answers it.
kind() {
    case $code in
        30[12378]) echo redirect ;;
        401) echo unauthorized ;;
        403) echo forbidden ;;
        404) echo not-found ;;
        413) if [ "$1" = limited ]; then echo body-too-large; else echo status; fi ;;
        429 | 503) echo "$1" ;;
        *) echo status ;;
    esac
}

# What nginx refuses before it looks for a location: its page of 400 says it.
judge_listener() {
    [ "$code" = 400 ] || return 0
    while IFS=: read -r cause page; do
        ! says "$page" || fails "$cause" "$seen: \"$page\""
    done <<'END'
local-plain-to-tls:The plain HTTP request was sent to HTTPS port
local-certificate-missing:No required SSL certificate was sent
local-certificate-refused:The SSL certificate error
local-header-too-large:Request Header Or Cookie Too Large
END
}

# judge_local WITH   what nginx answered by itself.
judge_local() {
    seen="$seen, $1"
    case $code in
        502) fails upstream-error "$seen: the exact cause is in nginx's error log" ;;
        504) fails upstream-response-timeout "$seen: the exact cause is in nginx's error log" ;;
        414) advice='make the address shorter, or raise large_client_header_buffers'
            fails local-status "$seen" ;;
        *) fails "local-$(kind limited)" "$seen" ;;
    esac
}

forgotten() {
    change='websocket on in the location that proxies, unless it is there; by hand that takes proxy_http_version 1.1 and proxy_set_header for Upgrade and Connection'
    seen="$seen, and the same without Upgrade"
    ! is_for_want_of_upgrade || fails upgrade-missing "$seen: Upgrade does not reach the upstream"
    advice='find out which it is: check-websocket tells with --backend or --nginx-conf, and websocket_cause_header names it here'
    fails upgrade-missing "$seen; or else any request is answered so"
}

# shown TEXT   what a server sent, without what a terminal would obey.
shown() { printf '%s' "$1" | LC_ALL=C tr -c ' -~' '?' | cut -c 1-128; }

# fails CAUSE SEEN   the verdict, and the end.
fails() {
    line "fails: $1${problem:+ ($problem)}: $2"
    line "advice: ${advice:-$(advice "$1")}"
    [ -z "$change" ] || line "in nginx: $change"
    case $1 in
        upstream-closed | upstream-bad-request)
            [ -n "$protocols" ] || line 'from here: no subprotocol was offered; try -p' ;;
    esac
    exit 1
}

# advice CAUSE   as check-websocket and the module give it; nothing for what is no cause.
advice() {
    sed -n "s/^$1: //p" <<'END'
over-http2: make the proxy or client in front use HTTP/1.1 towards this nginx for WebSocket
method-not-get: open the WebSocket with a GET request
http-version: make the proxy in front speak HTTP/1.1 (if it is nginx: proxy_http_version 1.1)
upgrade-missing: make the proxy in front pass Upgrade and Connection on (if it is nginx: websocket on)
upgrade-not-websocket: send "Upgrade: websocket"
connection-not-upgrade: make the proxy in front send "Connection: upgrade" with the Upgrade header
key-missing: send a Sec-WebSocket-Key of 16 random bytes in base64
key-repeated: send one Sec-WebSocket-Key; if the client does, look for a proxy in front that adds another
key-invalid: send a Sec-WebSocket-Key of 16 random bytes in base64, which is 24 characters
version-missing: send "Sec-WebSocket-Version: 13"
version-repeated: send one "Sec-WebSocket-Version: 13"
version-unsupported: update the client to RFC 6455, which is version 13
body-present: send the handshake without Content-Length and Transfer-Encoding
subprotocol-malformed: give each subprotocol once, as a name without spaces or separators
extensions-malformed: send extensions as "name; parameter=value, name", or leave the header out
origin-not-allowed: if pages of this origin may connect, add it to websocket_allow_origin
local-redirect: open the address that the redirect leads to (often wss:// instead of ws://), or exempt this location from the return or rewrite
local-unauthorized: send credentials that auth_basic or auth_request accepts; a page cannot set Authorization for a WebSocket, so use a cookie
local-forbidden: check allow, deny, auth_request and "return 403" for this location
local-not-found: check that the address matches a location with proxy_pass, and check try_files
local-limited: raise limit_conn or limit_req for this location; a WebSocket counts in limit_conn until it closes
local-header-too-large: raise large_client_header_buffers, or make the client send less; the usual reason is cookies
local-body-too-large: send the handshake without Content-Length and Transfer-Encoding
local-plain-to-tls: open wss:// instead of ws://; if a proxy in front connects here, make it use https://
local-certificate-missing: make the client send its certificate, or set ssl_verify_client optional
local-certificate-refused: renew the client's certificate, or check ssl_client_certificate, ssl_verify_depth and ssl_crl
local-websocket-off: set websocket on for the location, and websocket_http2 on for its server; browsers do not fall back to HTTP/1.1
local-status: look for return, rewrite or error_page in this location, and at nginx's own lines above this one
worker-connections-exhausted: raise worker_connections; a WebSocket takes two, one to the client and one to the upstream
too-many-open-files: raise worker_rlimit_nofile above worker_connections; if it is the whole system's limit, raise fs.file-max
local-ports-exhausted: widen net.ipv4.ip_local_port_range, add addresses to the upstream, or let proxy_bind choose among several addresses, without a port
connect-forbidden: with SELinux, run setsebool -P httpd_can_network_connect 1; otherwise check AppArmor, the service's sandbox and the local firewall
upstream-unresolved: check the name in proxy_pass and the servers in resolver
upstream-none-live: bring a server of the upstream block back, or change its max_fails, fail_timeout and down
upstream-refused: start the upstream, or correct the address and port in proxy_pass
upstream-unreachable: check the route, the firewall, proxy_bind and whether IPv6 works here, or the path and permissions of a unix socket
upstream-connect-timeout: check that no firewall drops packets to the address in proxy_pass, or raise proxy_connect_timeout
upstream-tls-failed: check that the port in proxy_pass speaks TLS, otherwise use http://; check proxy_ssl_server_name, proxy_ssl_name and proxy_ssl_verify
upstream-closed: check the path and the scheme (http:// or https://) in proxy_pass, and look for a crash in the upstream's own log
upstream-response-timeout: find out why the upstream does not answer, or raise proxy_read_timeout
upstream-response-invalid: check the port and the scheme (http:// or https://) in proxy_pass
upstream-header-too-big: raise proxy_buffer_size, or make the upstream send less; the usual reason is Set-Cookie
upstream-redirect: let proxy_pass lead to the redirect's target; often a slash is missing at the end, or proxy_set_header X-Forwarded-Proto
upstream-bad-request: check the path, the Host it expects (proxy_set_header Host $http_host), and the upstream's own log for what it found wrong
upstream-unauthorized: send the credentials the upstream wants, and check that no proxy_set_header removes Authorization or Cookie
upstream-forbidden: if it compares Origin with Host, set proxy_set_header Host $http_host; otherwise check the path, and allow this origin or user in the upstream
upstream-not-found: check the path that proxy_pass maps this location to
upstream-version: check what the upstream's Sec-WebSocket-Version and Upgrade ask for; it should accept version 13
upstream-overloaded: raise the upstream's capacity or limits, or add a server to the upstream block
upstream-not-websocket: check that the path proxy_pass maps this location to is the WebSocket endpoint
upstream-error: look for the error in the upstream's own log
upstream-status: check the path that proxy_pass maps this location to, and the upstream's own log
response-upgrade: make the upstream answer "Upgrade: websocket"; websocket_verify log lets it through in the meantime
response-connection: make the upstream answer "Connection: Upgrade"; websocket_verify log lets it through in the meantime
accept-missing: make the upstream answer with Sec-WebSocket-Accept; it may not be a WebSocket server at all
accept-mismatch: check that nothing between nginx and the upstream replays an answer or changes Sec-WebSocket-Key
subprotocol-not-offered: make the upstream choose one of the offered subprotocols or none, and check that no proxy_set_header changes them
extension-not-offered: make the upstream choose among the offered extensions, and check that no proxy_set_header changes them
response-unasked: make the upstream answer 101 only to requests with Upgrade; to let another protocol through, set websocket_other_upgrades pass
response-accel-redirect: make the upstream leave X-Accel-Redirect out of its 101, or set proxy_ignore_headers X-Accel-Redirect
client-gone: if it happens often, check whether the upstream takes longer to answer than clients wait
END
}

main "$@"
