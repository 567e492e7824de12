#!/usr/bin/env bash
# Checks what a built module is made of, and prints its size.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

EXPORTS='ngx_module_names ngx_module_order ngx_modules'

usage() {
    cat <<'END'
Usage: scripts/check-module.sh [--stripped] MODULE

Checks that the module exports nginx's three tables and nothing else, needs no
library but libc and libgcc_s, has full RELRO and no executable stack, and names
no directory of the machine that it was built on. Prints the bytes it takes.

  --stripped  it must have no symbols and no debug information left
END
}

main() {
    local stripped=''
    while [ $# -gt 0 ]; do
        case $1 in
            --stripped) stripped=yes ;;
            -h | --help) usage; return ;;
            -*) usage >&2; exit 2 ;;
            *) break ;;
        esac
        shift
    done
    [ $# -eq 1 ] || { usage >&2; exit 2; }
    [ -f "$1" ] || die "$1: no such file."
    if ! have readelf || ! have nm; then die "nm and readelf are missing: install the package binutils."; fi
    export LC_ALL=C

    check_exports "$1"
    check_libraries "$1"
    check_hardening "$1"
    check_paths "$1"
    [ -z "$stripped" ] || check_stripped "$1"
    printf '%s: %s bytes in memory, %s bytes the file\n' "${1##*/}" "$(bytes_in_memory "$1")" "$(stat -c %s "$1")"
}

# nginx reads three tables from a module. Any other name exported could be taken
# for another module's, or take the place of one.
check_exports() {
    local exported
    exported=$(nm -D --defined-only "$1" | awk '{ print $3 }' | sort | paste -s -d ' ')
    [ "$exported" = "$EXPORTS" ] || die "the module must export $EXPORTS; it exports: ${exported:-nothing}."
}

# The dynamic loader is part of libc.
check_libraries() {
    local library
    while read -r library; do
        case $library in
            libc.so.* | ld-linux*.so.* | ld64.so.* | libgcc_s.so.*) ;;
            *) die "the module needs $library: it may need libc and libgcc_s only." ;;
        esac
    done < <(readelf -dW "$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p')
}

check_hardening() {
    local headers
    headers=$(readelf -lW "$1")
    grep -q ' GNU_RELRO ' <<<"$headers" || die "the module has no RELRO: link with -Wl,-z,relro."
    grep -q 'NOW' <<<"$(readelf -dW "$1")" || die "the module's RELRO is not full: link with -Wl,-z,now."
    # Flags are the column before the last; RW is data, RWE could be run.
    [ "$(awk '$1 == "GNU_STACK" { print $(NF - 1) }' <<<"$headers")" = RW ] || die "the module asks for an executable stack."
}

check_paths() {
    local path
    for path in "$HOME/" "${CARGO_HOME:-$HOME/.cargo}/" "$ROOT/"; do
        ! grep -qaF "$path" "$1" || die "the module names a directory of this machine: $path"
    done
}

check_stripped() {
    ! readelf -SW "$1" | grep -q ' \.\(symtab\|debug_\)' || die "the module is not stripped."
}

# What the kernel maps for one nginx: all LOAD segments.
bytes_in_memory() {
    local size total=0
    while read -r size; do
        total=$((total + size))
    done < <(readelf -lW "$1" | awk '$1 == "LOAD" { print $6 }')
    printf '%s\n' "$total"
}

main "$@"
