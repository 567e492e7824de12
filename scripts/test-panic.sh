#!/usr/bin/env bash
# Tests what becomes of a panic: nginx loads a module that has the panic handler
# of this one, and panics.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

SOURCE=nginx-tests/modules/panics.rs

usage() {
    cat <<'END_OF_USAGE'
Usage: scripts/test-panic.sh

Builds the module of nginx-tests/modules/panics.rs for the installed nginx and
has that nginx load it. A line of nginx's log must say where it panicked, and
the process must end by SIGABRT.
END_OF_USAGE
}

main() {
    case ${1:-} in
        -h | --help) usage; return ;;
        ?*) usage >&2; exit 2 ;;
    esac
    check_toolchain
    use_nginx_source ""
    WORK=$(mktemp -d)
    trap 'rm -rf "$WORK"' EXIT
    build
    run
    check_line
}

build() {
    local flags
    mapfile -t flags < <(cargo_flags)
    cargo build --release --manifest-path "$ROOT/Cargo.toml" -p ngx-http-websocket-module --example panics "${flags[@]}" >&2
    "$ROOT/scripts/check-module.sh" "$CARGO_TARGET_DIR/release/examples/libpanics.so" >&2
}

run() {
    local status=0
    printf 'load_module %s;\nevents {}\n' "$CARGO_TARGET_DIR/release/examples/libpanics.so" >"$WORK/nginx.conf"
    # Where a core file is written at all, it has no place in the project.
    (ulimit -c 0 && cd "$WORK" && exec nginx -t -p "$WORK" -c nginx.conf -e stderr) >"$WORK/output" 2>&1 </dev/null || status=$?
    [ "$status" -eq $((128 + 6)) ] || fail "nginx ended with status $status, not by SIGABRT"
}

# All of it in one line, and not more than nginx takes.
check_line() {
    local place
    place=$SOURCE:$(grep -n 'panic!(' "$ROOT/$SOURCE" | cut -d : -f 1):5
    grep -q "\[alert\] [0-9#]*: panicked at $place: on purpose, and at length: \.*$" "$WORK/output" || fail "nginx's log doesn't say \"panicked at $place\""
}

fail() {
    cat "$WORK/output" >&2
    die "$1."
}

main "$@"
