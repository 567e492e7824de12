#!/usr/bin/env bash
# Runs the end-to-end tests with nginx under valgrind's memcheck. Fails on every wrong
# access to memory, and on what the module has lost.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source-path=SCRIPTDIR source=watched.sh
. "$ROOT/scripts/watched.sh"

TOOL=valgrind
WORK=$TARGET/memcheck
LOG=$WORK/log
# How many times slower than by itself the tests take nginx to be.
SLOWNESS=6
SHORT_CHAOS=60
SHORT_HTTP2=(ends::)
# What the module's functions have in their names.
MODULE_FRAME='ngx_http_websocket_module|websocket_protocol|websocket_zone|websocket_status'

SKIPPED+=(
    # How many descriptors a worker has when it has started, which takes it longer.
    ends::nothing_is_left_open
    # Whether a process alone hears a signal that comes just before it waits: nginx may not.
    one_process_alone
)

usage() {
    cat <<'END'
Usage: scripts/memcheck.sh [--pools] [--short | --chaos] [--seconds N] [-- ARGUMENTS]

Builds the module for the installed nginx and runs the end-to-end tests with nginx
under valgrind, which takes about half an hour.

  --pools      on an nginx that has the module compiled in, and whose pools take each
               allocation from malloc: valgrind sees what else is hidden in a pool
  --short      a minute of the test chaos, and the ends of tunnels: about four minutes
  --chaos      ten minutes of the test chaos
  --seconds N  another time for the test chaos
  ARGUMENTS    go to `cargo test -p nginx-tests`, such as
               scripts/memcheck.sh -- --test tunnel drain

What valgrind said is in target/memcheck/log, each line with its process.
END
}

main() {
    local pools=''
    [ "${1:-}" != --pools ] || { pools=yes; shift; }
    read_options "$@"
    cd "$ROOT"
    need_build_packages
    need_packages valgrind:valgrind
    prepare "$pools"
    listen
    watch
}

# ---- nginx under valgrind ----------------------------------------------------

# prepare POOLS   leaves the path of an nginx to be run by the tests in NGINX, and that of the
# module in MODULE.
prepare() {
    local nginx
    if [ -n "$1" ]; then
        nginx=$("$ROOT/scripts/build-nginx.sh" --pools | tail -n 1) MODULE=compiled-in
    else
        nginx=$(command -v nginx) MODULE=$("$ROOT/scripts/build.sh" | tail -n 1)
    fi
    NGINX=$WORK/nginx
    rm -rf "$WORK"
    mkdir -p "$WORK"
    # -q: only what is wrong. What nginx and OpenSSL leave to the end of the process is told too,
    # but for judge() alone. Names are kept of the module, which nginx unloads before it exits.
    local options=(
        -q --trace-children=yes --log-file="$WORK/pipe" --num-callers=40
        --error-exitcode=99 --errors-for-leak-kinds=none
        --leak-check=full --show-leak-kinds=definite --keep-debuginfo=yes
        --suppressions="$ROOT/scripts/memcheck.supp"
    )
    {
        printf '#!/bin/sh\necho $$ >>%q\nexec' "$WORK/started"
        printf ' %q' "$(command -v valgrind)" "${options[@]}" "$nginx"
        printf ' "$@"\n'
    } >"$NGINX"
    chmod 755 "$NGINX"
}

# One log for all: a file for each process would lose what is said of one whose pid comes round
# again.
listen() {
    mkfifo "$WORK/pipe"
    # Opened for both, so that it never ends; what ends it is the last line.
    sed -u '/^the end$/Q' <>"$WORK/pipe" >"$LOG" &
    LISTENER=$!
}

hang_up() {
    echo 'the end' >"$WORK/pipe"
    wait "$LISTENER"
}

# ---- what valgrind said ------------------------------------------------------

# Prints every fault, and fails if there is one. What is said of a process is paragraphs, each a
# fault with its stacks; one about lost memory counts if the module is in its stack.
judge() {
    local faults
    hang_up
    faults=$(awk -v module="$MODULE_FRAME" '
        function end(pid) {
            if (text[pid] != "" && (text[pid] !~ /definitely lost/ || text[pid] ~ module)) {
                print text[pid]
            }
            text[pid] = ""
        }
        # SIOCOUTQNSD, which writes an int: three lines that say valgrind does not know it.
        /unhandled ioctl 0x894b / { unknown[$1] = 3 }
        unknown[$1] > 0 { unknown[$1]--; next }
        $2 == "" { end($1); next }
        { text[$1] = text[$1] $0 "\n" }
        END { for (pid in text) end(pid) }
    ' "$LOG")
    [ -z "$faults" ] || { say "$faults"; return 1; }
}

main "$@"
