#!/usr/bin/env bash
# Builds the libraries that nginx is linked with for musl: Debian has musl's compiler, but no library for it.
# The last line printed is the directory that has include/ and lib/.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# These crates carry the sources of zlib, PCRE2 and OpenSSL.
ZLIB=libz-sys ZLIB_VERSION=1.1.31
PCRE2=pcre2-sys PCRE2_VERSION=0.2.10
OPENSSL=openssl-src OPENSSL_VERSION=300.5.5+3.5.5

WORK=$TARGET/musl
PREFIX=$WORK/usr

usage() {
    cat <<'END_OF_USAGE'
Usage: scripts/musl-libraries.sh [--tls]

Builds zlib, PCRE2 and with --tls OpenSSL with musl-gcc (package musl-tools), out of the
sources in the crates libz-sys, pcre2-sys and openssl-src, and prints where they
are: target/musl/usr. What is there is not built again.
END_OF_USAGE
}

main() {
    case ${1:-} in
        --tls) ;;
        -h | --help) usage; return ;;
        ?*) usage >&2; exit 2 ;;
    esac
    need_packages musl-tools:musl-gcc linux-libc-dev make:make perl:perl
    mkdir -p "$PREFIX/include" "$PREFIX/lib"
    # The kernel's headers are for every libc.
    ln -sfn /usr/include/linux /usr/include/asm-generic /usr/include/x86_64-linux-gnu/asm "$PREFIX/include"
    once libz.a zlib
    once libpcre2-8.a pcre2
    once libcrypt.a crypt
    once no-tls.o no_tls
    [ -z "${1:-}" ] || once libssl.a openssl
    printf '%s\n' "$PREFIX"
}

# once LIBRARY FUNCTION   unless the library is there.
once() {
    [ ! -f "$PREFIX/lib/$1" ] || return 0
    say "building ${1%.a} for musl"
    "$2" >"$WORK/$1.log" 2>&1 </dev/null || { tail -n 5 "$WORK/$1.log" >&2; die "$1 was not built: see $WORK/$1.log"; }
}

zlib() (
    set -e
    source=$(fetch_crate "$ZLIB" "$ZLIB_VERSION")/src/zlib
    compile libz.a "$source"/{adler32,crc32,deflate,inffast,inflate,inftrees,trees,zutil}.c
    cp "$source/zlib.h" "$source/zconf.h" "$PREFIX/include"
)

# Without its compiler of expressions to machine code: the tests are not about that.
pcre2() (
    set -e
    source=$(fetch_crate "$PCRE2" "$PCRE2_VERSION")/upstream
    # The others are included by these.
    mapfile -t files < <(find "$source/src" -name '*.c' | grep -vE 'jit_(match|misc)|ucptables')
    compile libpcre2-8.a -I"$source/src" -I"$source/include" -I"$source/deps" -DHAVE_CONFIG_H -DPCRE2_STATIC \
        -DPCRE2_CODE_UNIT_WIDTH=8 -DSUPPORT_PCRE2_8 -DSUPPORT_UNICODE -DHAVE_STDLIB_H -DHAVE_MEMMOVE \
        -DSTDC_HEADERS "${files[@]}"
    cp "$source/include/pcre2.h" "$PREFIX/include"
)

# Debian's musl has none. It says so to whoever asks: no test has a password that is hashed.
crypt() (
    set -e
    printf 'char *crypt(const char *, const char *);\n' >"$PREFIX/include/crypt.h"
    cat >"$WORK/crypt.c" <<'END_OF_SOURCE'
#include <crypt.h>
#include <errno.h>

char *crypt(const char *key, const char *salt)
{
    errno = ENOSYS;
    return 0;
}
END_OF_SOURCE
    compile libcrypt.a -I"$PREFIX/include" "$WORK/crypt.c"
)

# What the module uses of an nginx that has TLS, and never calls where no connection has it.
no_tls() (
    set -e
    printf '#include <stdlib.h>\nvoid ngx_ssl_shutdown(void) { abort(); }\n' >"$WORK/no-tls.c"
    musl-gcc -O1 -c "$WORK/no-tls.c" -o "$PREFIX/lib/no-tls.o"
)

# compile LIBRARY ARGUMENT...   the compiler leaves objects where it runs.
compile() {
    local library=$PREFIX/lib/$1 objects=$WORK/${1%.a}
    shift
    rm -rf "$objects"
    mkdir -p "$objects"
    (cd "$objects" && musl-gcc -O1 -w -c "$@")
    ar rcs "$library.new" "$objects"/*.o
    mv "$library.new" "$library"
}

# What nginx can do without, and what needs headers of the kernel, which musl-gcc doesn't see.
openssl() (
    set -e
    source=$(fetch_crate "$OPENSSL" "$OPENSSL_VERSION")/openssl
    rm -rf "$WORK/openssl"
    cp -R "$source" "$WORK/openssl"
    cd "$WORK/openssl"
    CC=musl-gcc perl ./Configure linux-x86_64 --prefix="$PREFIX" --libdir=lib --openssldir=/etc/ssl -O1 \
        no-shared no-module no-apps no-docs no-tests no-engine no-afalgeng no-async no-ktls no-quic no-cmp no-cms \
        no-legacy no-zlib -DOPENSSL_NO_SECURE_MEMORY
    make -j "$(nproc)" build_libs
    make install_dev
    rm -rf "$WORK/openssl"
)

main "$@"
