#!/usr/bin/env bash
# Runs the tests of the crates that know nothing of nginx under Miri, which interprets
# them: it sees wrong accesses to memory, data races and what the language leaves
# undefined, in them and in the crates they use.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

usage() {
    cat <<'END'
Usage: scripts/miri.sh [--short] [-- ARGUMENTS]

Runs the tests of protocol/, zone/ and status/ under Miri. Takes a nightly toolchain of
Rust with the components miri and rust-src, which it asks rustup for; where it can't have
them it says so and does nothing. Tests make up less than usual there, and those that only
repeat something a great many times are left out.

  --short    only the unit tests of protocol/
  ARGUMENTS  go to `cargo miri test`, such as
             scripts/miri.sh -- -p websocket-protocol --test tunnel
END
}

main() {
    local what=(-p websocket-protocol -p websocket-zone -p websocket-status --lib --tests)
    while [ $# -gt 0 ]; do
        case $1 in
            --short) what=(-p websocket-protocol --lib); shift ;;
            --) shift; what=("$@"); break ;;
            -h | --help) usage; return ;;
            *) usage >&2; exit 2 ;;
        esac
    done
    cd "$ROOT"
    if ! has_miri && ! add_miri; then
        skipped "no nightly toolchain with miri and rust-src: nothing is interpreted."
        return
    fi
    # proptest looks for the cases that failed before, which is outside; what it makes up is to
    # be the same every time; and tests leave zones behind that they need no more.
    export MIRIFLAGS="-Zmiri-disable-isolation -Zmiri-ignore-leaks ${MIRIFLAGS:-}" PROPTEST_RNG_SEED=1
    cargo +nightly miri test --target-dir "$TARGET/miri" "${what[@]}"
}

has_miri() { cargo +nightly miri --version >/dev/null 2>&1 && [ -d "$(rustc +nightly --print sysroot)/lib/rustlib/src" ]; }

add_miri() {
    have rustup && rustc +nightly --version >/dev/null 2>&1 || return 1
    logged miri rustup component add --toolchain nightly miri rust-src && has_miri
}

main "$@"
