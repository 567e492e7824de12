#!/usr/bin/env bash
# Checks what a built module is made of, and prints its size.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

EXPORTS='ngx_module_names ngx_module_order ngx_modules'
# What is used of libc: each of these is in glibc and in musl, under this name. (On arm64 Rust asks
# getauxval() which atomic instructions the processor has.)
LIBC='abort bcmp close dlsym eventfd fcntl free ftruncate getauxval getenv getpeername getsockname getsockopt ioctl lseek
      madvise memcmp memcpy memmove memset mmap munmap poll pread pwrite random recv recvmsg send sendmsg setsockopt
      shutdown socketpair strlen syscall'

# Mostly it reads the files of one processor only.
NM=${NM:-nm}

usage() {
    cat <<'END'
Usage: scripts/check-module.sh [--stripped] [--nginx BINARY] MODULE

Checks that the module exports nginx's three tables and nothing else, names no
library and no version of one, uses nothing but a few functions of libc and
nginx itself, has full RELRO and no executable stack, and names no directory of
the machine that it was built on. Prints the bytes it takes.

  --stripped      it must have no symbols and no debug information left
  --nginx BINARY  what it uses of nginx must be in this one
END
}

main() {
    local stripped='' nginx=''
    while [ $# -gt 0 ]; do
        case $1 in
            --stripped) stripped=yes ;;
            --nginx) [ $# -ge 2 ] || die "--nginx needs a file."; nginx=$2; shift ;;
            -h | --help) usage; return ;;
            -*) usage >&2; exit 2 ;;
            *) break ;;
        esac
        shift
    done
    [ $# -eq 1 ] || { usage >&2; exit 2; }
    [ -f "$1" ] || die "$1: no such file."
    if ! have readelf || ! have "$NM"; then die "nm and readelf are missing: install the package binutils."; fi
    export LC_ALL=C

    check_exports "$1"
    check_libraries "$1"
    check_undefined "$1" "$nginx"
    check_hardening "$1"
    check_paths "$1"
    [ -z "$stripped" ] || check_stripped "$1"
    printf '%s: %s bytes in memory, %s bytes the file\n' "${1##*/}" "$(bytes_in_memory "$1")" "$(stat -c %s "$1")"
}

# nginx reads three tables from a module. Any other name exported could be taken
# for another module's, or take the place of one.
check_exports() {
    local exported
    exported=$("$NM" -D --defined-only "$1" | awk '{ print $3 }' | sort | paste -s -d ' ')
    [ "$exported" = "$EXPORTS" ] || die "the module must export $EXPORTS; it exports: ${exported:-nothing}."
}

# A library that is named has to be there, and a version of a symbol with it: the
# module would be for one libc, as new as this machine's.
check_libraries() {
    local found
    found=$(readelf -dW "$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | paste -s -d ' ')
    [ -z "$found" ] || die "the module needs $found, but it must not name any library."
    found=$("$NM" -D --undefined-only --with-symbol-versions "$1" | awk '/@/ { print $NF }' | paste -s -d ' ')
    [ -z "$found" ] || die "the module requires a version of a symbol: $found."
}

# Nothing at all would tell at build time, and nginx not before it loads the file.
check_undefined() {
    local found
    found=$(undefined "$1" | awk '!/^ngx_/' | not_among <(tr ' ' '\n' <<<"$LIBC"))
    [ -z "$found" ] || die "not every libc has what the module uses: $found."
    [ -n "$2" ] || return 0
    found=$(undefined "$1" | awk '/^ngx_/' | not_among <("$NM" -D --defined-only "$2" | awk '{ print $NF }'))
    [ -z "$found" ] || die "$2 doesn't have what the module uses: $found."
}

undefined() { "$NM" -D --undefined-only "$1" | awk '{ print $NF }'; }

# not_among FILE   the lines that FILE doesn't have, as one.
not_among() { sort | comm -23 - <(sort "$1") | paste -s -d ' '; }

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
    for path in "${HOME%/}/" "${CARGO_HOME:-$HOME/.cargo}/" "$ROOT/"; do
        # A user without a home has that one.
        [ "$path" != / ] || continue
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
