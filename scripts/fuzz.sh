#!/usr/bin/env bash
# Makes up frames, answers, certificates and configurations for a while, by cargo-fuzz.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

usage() {
    cat <<'END'
Usage: scripts/fuzz.sh [--seconds N | --smoke] [TARGET...]

Runs the fuzz targets, all of them if none is named, each for N seconds (60). Takes
cargo-fuzz and a nightly toolchain of Rust; where they are missing it says so and does
nothing. What it finds is left in fuzz/artifacts.

  --smoke  only the first 200 inputs of each, the same every time
END
}

main() {
    local bound=(-max_total_time=60) target targets
    while [ $# -gt 0 ]; do
        case $1 in
            --seconds) bound=("-max_total_time=${2:?}"); shift 2 ;;
            --smoke) bound=(-runs=200 -seed=1); shift ;;
            -h | --help) usage; return ;;
            -*) usage >&2; exit 2 ;;
            *) break ;;
        esac
    done
    if ! rustc +nightly --version >/dev/null 2>&1 || ! cargo fuzz --version >/dev/null 2>&1; then
        say "no nightly toolchain or no cargo-fuzz: nothing is fuzzed."
        return
    fi
    cd "$ROOT"
    if [ $# -gt 0 ]; then
        targets=("$@")
    else
        mapfile -t targets < <(cargo +nightly fuzz list)
    fi
    for target in "${targets[@]}"; do
        say "fuzzing: $target"
        # An input is slow under the sanitizer, on a busy machine: what hangs takes longer.
        cargo +nightly fuzz run "$target" -- "${bound[@]}" -timeout=60 -rss_limit_mb=4096 2>&1 |
            tail -n 3
    done
}

main "$@"
