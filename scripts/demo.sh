#!/usr/bin/env bash
# Shows the module at work: builds it, starts nginx with it on 127.0.0.1:8080 in
# front of an echo server, tries one handshake that works and one that can't, and
# leaves both running for a browser until Ctrl-C.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

PORT=8080
DEMO=$TARGET/demo
MESSAGE='hello through nginx'

usage() {
    cat <<'END'
Usage: scripts/demo.sh [--check]

Starts nginx with the module on 127.0.0.1:8080, with a page that talks to an echo
server, and stays until Ctrl-C. Installs what is missing (as root) first.

  --check  ends after the checks, with status 0 only if they passed
END
}

main() {
    local check=''
    case ${1:-} in
        '') ;;
        --check) check=yes ;;
        -h | --help) usage; return ;;
        *) usage >&2; exit 2 ;;
    esac

    ! answers "$PORT" || die "port $PORT of 127.0.0.1 is in use: stop what listens there and run this again."
    need_build_packages
    trap stop EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    build
    mkdir -p "$DEMO/tmp"
    start_echo
    start_nginx
    try_echo
    try_failure
    [ -z "$check" ] || { show "" "All checks passed."; return; }

    show "" "Open http://127.0.0.1:$PORT/ in a browser. Ctrl-C ends the demo." \
        "The log is in $DEMO/error.log"
    wait -n "$ECHO_PID" "$NGINX_PID" || true
    die "nginx or the echo server exited unexpectedly: see $DEMO/error.log"
}

# ---- what runs --------------------------------------------------------------

ECHO_PID=
NGINX_PID=

# Ends what this script started, by its id, and waits until it is gone.
stop() {
    local status=$? pid
    trap - EXIT INT TERM
    for pid in $NGINX_PID $ECHO_PID; do
        kill "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
    exit "$status"
}

build() {
    MODULE=$("$ROOT/scripts/build.sh" | tail -n 1)
    (cd "$ROOT" && cargo build --quiet -p nginx-tests --bin ws-echo --bin ws-try)
    BIN=${CARGO_TARGET_DIR:-$TARGET}/debug
}

# Any free port does for the echo server: it says which one it got.
start_echo() {
    "$BIN/ws-echo" 127.0.0.1:0 >"$DEMO/echo.log" 2>&1 </dev/null &
    ECHO_PID=$!
    wait_until 'the echo server' "$ECHO_PID" "$DEMO/echo.log" grep -q '^listening on ' "$DEMO/echo.log"
    ECHO_ADDRESS=$(sed -n 's/^listening on //p' "$DEMO/echo.log")
}

start_nginx() {
    write_configuration
    : >"$DEMO/error.log"
    nginx -p "$DEMO" -e "$DEMO/error.log" -c "$DEMO/nginx.conf" </dev/null &
    NGINX_PID=$!
    wait_until nginx "$NGINX_PID" "$DEMO/error.log" answers "$PORT"
}

write_configuration() {
    local user=''
    # Workers that root starts become www-data, who may not be allowed to read
    # the page: it can be below someone's home.
    [ "$(id -u)" -ne 0 ] || user='user root root;'
    cat >"$DEMO/nginx.conf" <<END
load_module "$MODULE";

$user
daemon off;
worker_processes 1;
pid "$DEMO/nginx.pid";
error_log "$DEMO/error.log";

events { }

http {
    access_log "$DEMO/access.log";
    client_body_temp_path tmp/body;
    proxy_temp_path       tmp/proxy;
    fastcgi_temp_path     tmp/fastcgi;
    uwsgi_temp_path       tmp/uwsgi;
    scgi_temp_path        tmp/scgi;
    types { text/html html; }
    default_type text/plain;

    server {
        listen 127.0.0.1:$PORT;

        # All that a WebSocket needs.
        location /echo {
            proxy_pass http://$ECHO_ADDRESS;
            websocket on;
        }

        # A proxy in front that knows nothing of WebSockets: it drops the headers
        # Upgrade and Connection, as every such proxy does.
        location /behind-a-proxy {
            proxy_pass http://127.0.0.1:$PORT/echo;
            proxy_http_version 1.1;
        }

        # The page, and the log for it to show.
        location / {
            root "$ROOT/scripts/demo";
        }
        location = /error.log {
            alias "$DEMO/error.log";
        }
    }
}
END
}

# wait_until NAME PID LOG COMMAND...   up to ten seconds, while PID is alive.
wait_until() {
    local name=$1 pid=$2 log=$3 tries
    shift 3
    for ((tries = 0; tries < 100; tries++)); do
        ! "$@" || return 0
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.1
    done
    tail -n 10 "$log" >&2
    die "$name did not start: see $log"
}

answers() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# ---- what it shows ----------------------------------------------------------

show() { printf '%s\n' "$@"; }

try_echo() {
    show "" "1. A handshake and a message through this location:" \
        "" \
        "       location /echo {" \
        "           proxy_pass http://$ECHO_ADDRESS;" \
        "           websocket on;" \
        "       }" \
        ""
    indented "$BIN/ws-try" "ws://127.0.0.1:$PORT/echo" "$MESSAGE" || die "no echo came back: see $DEMO/error.log"
    grep -qF "$MESSAGE" "$DEMO/seen" || die "the echo is not what was sent."
}

try_failure() {
    local line
    show "" "2. The same through a proxy in front that drops the header Upgrade:" ""
    ! indented "$BIN/ws-try" "ws://127.0.0.1:$PORT/behind-a-proxy" "$MESSAGE" || die "this handshake should have failed."
    line=$(grep 'websocket handshake failed' "$DEMO/error.log" | tail -n 1) || true
    [ -n "$line" ] || die "the error log doesn't say why: see $DEMO/error.log"
    show "" "   and why, in the error log:" "" "       $line"
}

# Runs a command, keeps what it prints in $DEMO/seen and shows it indented.
indented() {
    local status=0
    "$@" >"$DEMO/seen" 2>&1 </dev/null || status=$?
    sed 's/^/       /' "$DEMO/seen"
    return "$status"
}

main "$@"
