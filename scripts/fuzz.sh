#!/usr/bin/env bash
# Makes up what comes from outside, by cargo-fuzz: each target of fuzz/ for a while.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

WORK=$TARGET/fuzz
# How many inputs --smoke makes up beside those that are kept, and of targets that take a tenth of a
# second for each.
SMOKE=500
SMOKE_SLOW=50
# An input is slow under the sanitizer, on a busy machine: what hangs takes longer.
BOUNDS=(-timeout=60 -rss_limit_mb=4096)

usage() {
    cat <<'END'
Usage: scripts/fuzz.sh [--seconds N | --smoke | --minimize] [TARGET...]

Runs the fuzz targets, all of them if none is named, each for N seconds (60), beginning
with the inputs of fuzz/corpus. Takes cargo-fuzz and a nightly toolchain of Rust; where
they are missing it says so and does nothing. What it finds is left in fuzz/artifacts,
inputs that lead to something new in target/fuzz/corpus, and what libFuzzer says in
target/fuzz/TARGET.log.

  --smoke     only the inputs of fuzz/corpus and a few hundred made up from them, the
              same every time
  --minimize  runs nothing, but keeps in fuzz/corpus as few inputs as lead to all that
              those of fuzz/corpus and target/fuzz/corpus lead to
END
}

main() {
    local what=run seconds=60 target targets
    while [ $# -gt 0 ]; do
        case $1 in
            --seconds) seconds=${2:?}; shift 2 ;;
            --smoke) what=smoke; shift ;;
            --minimize) what=minimize; shift ;;
            -h | --help) usage; return ;;
            -*) usage >&2; exit 2 ;;
            *) break ;;
        esac
    done
    if ! rustc +nightly --version >/dev/null 2>&1 || ! cargo fuzz --version >/dev/null 2>&1; then
        skipped "no nightly toolchain or no cargo-fuzz: nothing is fuzzed."
        return
    fi
    cd "$ROOT"
    if [ $# -gt 0 ]; then
        targets=("$@")
    else
        mapfile -t targets < <(cargo +nightly fuzz list)
    fi
    mkdir -p "$WORK"
    for target in "${targets[@]}"; do
        mkdir -p "$WORK/corpus/$target" "fuzz/corpus/$target"
        "$what" "$target"
    done
}

run() {
    fuzz "$1" "$WORK/corpus/$1" "fuzz/corpus/$1" -- "-max_total_time=$seconds" "${BOUNDS[@]}"
}

# What it comes upon is not kept: the next time would begin with it.
smoke() {
    local found=$WORK/smoke kept more=$SMOKE
    case $1 in answer | certificate | zone) more=$SMOKE_SLOW ;; esac
    rm -rf "$found"
    mkdir -p "$found"
    kept=$(find "fuzz/corpus/$1" -type f | wc -l)
    fuzz "$1" "$found" "fuzz/corpus/$1" -- -seed=1 "-runs=$((kept + more))" "${BOUNDS[@]}"
}

minimize() {
    local kept=$WORK/kept
    rm -rf "$kept"
    mkdir -p "$kept"
    fuzz "$1" "$kept" "fuzz/corpus/$1" "$WORK/corpus/$1" -- -set_cover_merge=1 "${BOUNDS[@]}"
    rm -rf "fuzz/corpus/$1"
    mv "$kept" "fuzz/corpus/$1"
}

# fuzz TARGET ARGUMENT...   shows libFuzzer's last word, or if it failed what it was about.
fuzz() {
    local target=$1 log=$WORK/$1.log
    say "fuzzing: $target"
    logged fuzz-build cargo +nightly fuzz build "$target" || die "$target can't be built: see $TARGET/fuzz-build.log."
    if ! cargo +nightly fuzz run "$@" >"$log" 2>&1 </dev/null; then
        grep -v '^#[0-9]' "$log" | tail -n 60 >&2
        die "$target has found something: see $log and fuzz/artifacts/$target."
    fi
    grep -E '^(Done|#[0-9]+\s+DONE|MERGE-OUTER: .*set)' "$log" | tail -n 1 >&2 || true
}

main "$@"
