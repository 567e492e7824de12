#!/usr/bin/env bash
# Runs the end-to-end tests with nginx under valgrind's memcheck. Fails on every wrong
# access to memory, and on what the module has lost.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

WORK=$TARGET/memcheck
LOG=$WORK/log
# How many times slower than by itself the tests take nginx to be.
SLOWNESS=6
# What the module's functions have in their names.
MODULE_FRAME='ngx_http_websocket_module|websocket_protocol|websocket_zone|websocket_status'

# Tests of what valgrind changes, by what that is.
SKIPPED=(
    # How much memory a worker has.
    own_loop::thousands_of_tunnels_leave_nothing_in_the_worker
    pump::what_a_tunnel_held_is_given_back
    soak::nothing_is_left_of_two_thousand_tunnels
    # How many descriptors a worker has when it has started, which takes it longer.
    ends::nothing_is_left_open
    # How long something takes, to a tenth of a second.
    ends::durations_are_those_of_the_tunnel
    # How an upstream fails that has a tenth of a second to answer.
    mirror::a_mirror_that_fails_before_the_101_changes_nothing
    # malloc(), in whose place the tests put their own.
    all_is_where_it_was_when_thousands_of_tunnels_have_gone
    each_holds_a_small_buffer_and_holds_up_nobody
    # Whether a second is enough for one of Autobahn's cases.
    the_same_verdicts_behind_nginx
    the_same_verdicts_through_nginx
    # Whether a process alone hears a signal that comes just before it waits: nginx may not.
    one_process_alone
)

# What --short runs besides chaos: each way in which a tunnel or a worker ends.
SHORT=(ends:: drain::)

usage() {
    cat <<'END'
Usage: scripts/memcheck.sh [--short | --chaos] [--seconds N] [--pools] [-- ARGUMENTS]

Builds the module for the installed nginx and runs the end-to-end tests with nginx
under valgrind, which takes about half an hour.

  --short      a minute of the test chaos, and the ends of tunnels: about four minutes
  --chaos      ten minutes of the test chaos
  --seconds N  another time for the test chaos
  --pools      on an nginx that has the module compiled in, and whose pools take each
               allocation from malloc: valgrind sees what else is hidden in a pool
  ARGUMENTS    go to `cargo test -p nginx-tests`, such as
               scripts/memcheck.sh -- --test tunnel drain

What valgrind said is in target/memcheck/log, each line with its process.
END
}

main() {
    local what=all seconds='' pools=''
    while [ $# -gt 0 ]; do
        case $1 in
            --short) what=short ;;
            --chaos) what=chaos ;;
            --pools) pools=yes ;;
            --seconds) [ $# -ge 2 ] || die "--seconds needs a number."; seconds=$2; shift ;;
            --seconds=*) seconds=${1#*=} ;;
            --) shift; break ;;
            -h | --help) usage; return ;;
            *) usage >&2; exit 2 ;;
        esac
        shift
    done
    cd "$ROOT"
    mapfile -t FLAGS < <(cargo_flags)
    need_build_packages
    need_packages valgrind:valgrind
    prepare "$pools"
    listen
    local failed=''
    run "$what" "$seconds" "$@" || failed='some tests failed'
    hang_up
    [ -e "$WORK/started" ] || die "no test ran nginx."
    judge || failed="${failed:+$failed, and }valgrind found faults"
    [ -z "$failed" ] || die "$failed."
    say "valgrind found no fault; the tests started nginx $(wc -l <"$WORK/started") times."
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

# run WHAT SECONDS [ARGUMENT...]   fails if a test does.
run() {
    local what=$1 seconds=$2 skip=() name
    shift 2
    for name in "${SKIPPED[@]}"; do
        skip+=(--skip "$name")
    done
    export NGINX_TESTS_BINARY=$NGINX NGINX_TESTS_MODULE=$MODULE NGINX_TESTS_SLOW=$SLOWNESS
    export NGINX_TESTS_INTEROP=$TARGET/interop
    if [ $# -gt 0 ]; then
        tests "${seconds:-20}" "$@"
        return
    fi
    case $what in
        all) tests "${seconds:-60}" -- "${skip[@]}" ;;
        chaos) tests "${seconds:-600}" --test chaos ;;
        short)
            local status=0
            tests "${seconds:-60}" --test chaos || status=$?
            tests '' --test tunnel -- "${SHORT[@]}" "${skip[@]}" || status=$?
            return "$status"
            ;;
    esac
}

# tests SECONDS [ARGUMENT...]
tests() {
    local seconds=$1
    shift
    RUST_TEST_THREADS=2 NGINX_TESTS_CHAOS_SECONDS=$seconds \
        cargo test "${FLAGS[@]}" -p nginx-tests --no-fail-fast "$@"
}

# ---- what valgrind said ------------------------------------------------------

# Prints every fault, and fails if there is one. What is said of a process is paragraphs, each a
# fault with its stacks; one about lost memory counts if the module is in its stack.
judge() {
    local faults
    faults=$(awk -v module="$MODULE_FRAME" '
        function end(pid) {
            if (text[pid] != "" && (text[pid] !~ /definitely lost/ || text[pid] ~ module)) {
                print text[pid]
            }
            text[pid] = ""
        }
        $2 == "" { end($1); next }
        { text[$1] = text[$1] $0 "\n" }
        END { for (pid in text) end(pid) }
    ' "$LOG")
    [ -z "$faults" ] || { say "$faults"; return 1; }
}

main "$@"
