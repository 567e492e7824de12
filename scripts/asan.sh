#!/usr/bin/env bash
# Runs the end-to-end tests with an nginx that watches its own memory: AddressSanitizer,
# LeakSanitizer and, for what C leaves undefined, UndefinedBehaviorSanitizer.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source-path=SCRIPTDIR source=watched.sh
. "$ROOT/scripts/watched.sh"

TOOL=AddressSanitizer
WORK=$TARGET/asan
REPORTS=$WORK/reports
# How many times slower than by itself the tests take nginx to be.
SLOWNESS=4
SHORT_CHAOS=300
SHORT_HTTP2=(ends:: frames:: hostile::)

SKIPPED+=(
    # How much memory a worker has.
    flood::who_reads_nothing_costs_little_and_leaves_nothing
    pump::a_side_that_does_not_read_stops_the_other
)

usage() {
    cat <<'END'
Usage: scripts/asan.sh [--short | --chaos] [--seconds N] [-- ARGUMENTS]

Builds the nginx of the crate nginx-src with the module compiled in and with
-fsanitize=address,undefined, and runs the end-to-end tests on it. Its pools take
each allocation from malloc. The module is built by Rust's nightly for that, with
AddressSanitizer and all of Rust's own checks; where there is no nightly, only what
nginx does is watched.

  --short      five minutes of the test chaos, the ends of tunnels, and wrong HTTP/2: about seven
               minutes, and one or two to build
  --chaos      ten minutes of the test chaos
  --seconds N  another time for the test chaos
  ARGUMENTS    go to `cargo test -p nginx-tests`, such as
               scripts/asan.sh -- --test tunnel drain

What was found is in target/asan/reports, a file for each process.
END
}

main() {
    read_options "$@"
    cd "$ROOT"
    need_build_packages
    prepare
    watch
}

# Leaves in NGINX the path of an nginx to be run by the tests.
prepare() {
    local nginx
    nginx=$("$ROOT/scripts/build-nginx.sh" --asan | tail -n 1)
    MODULE=compiled-in NGINX=$WORK/nginx
    rm -rf "$WORK"
    mkdir -p "$REPORTS"
    # Workers write reports, too.
    chmod 777 "$REPORTS"
    # What is lost must not change how a process ends: judge() sees it.
    local every=log_path=$REPORTS/report:exitcode=0
    local asan=(
        "$every" abort_on_error=1 handle_abort=1 detect_leaks=1 detect_stack_use_after_return=1
        strict_string_checks=1
        # Some tests have a library of theirs loaded before: it stands in front of no allocation.
        verify_asan_link_order=0
        # It is what a process keeps of freed memory, to see that nobody uses it.
        quarantine_size_mb=16
    )
    {
        printf '#!/bin/bash\necho $$ >>%q\n' "$WORK/started"
        printf 'export ASAN_OPTIONS=%q\n' "$(joined "${asan[@]}")"
        printf 'export LSAN_OPTIONS=%q\n' "suppressions=$ROOT/scripts/asan.supp:print_suppressions=0"
        printf 'export UBSAN_OPTIONS=%q\n' "$every:print_stacktrace=1"
        # What only looks at a configuration leaves all of it to its end.
        # shellcheck disable=SC2016 # it is that script's
        printf 'case " $* " in *" -t "*) ASAN_OPTIONS+=:detect_leaks=0 ;; esac\n'
        # nginx runs a new binary by the name that it was given itself.
        # shellcheck disable=SC2016 # it is that script's
        printf 'exec -a "$0" %q "$@"\n' "$nginx"
    } >"$NGINX"
    chmod 755 "$NGINX"
}

joined() {
    local IFS=:
    printf '%s\n' "$*"
}

# A process whose pid comes round again may write over an older report. One is left then, and one
# is enough. Who looks for what is lost is told, and tells, when a test kills the process meanwhile.
judge() {
    local files
    mapfile -t files < <(find "$REPORTS" -type f -size +0 \
        -exec grep -l -v -E '^==[0-9]+==Unable to get registers from thread [0-9]+\.$' {} +)
    [ "${#files[@]}" -gt 0 ] || return 0
    head -n 60 "${files[0]}" >&2
    say "" "${#files[@]} processes have something to say:"
    cat "${files[@]}" | grep -h -o -E '^SUMMARY: .*|runtime error: .*|^[A-Z].* leak of .*' | sort | uniq -c | sort -rn | head -n 20 >&2
    return 1
}

main "$@"
