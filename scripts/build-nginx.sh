#!/usr/bin/env bash
# Builds an nginx that has the module compiled in. The last line printed is its path.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# This crate is nginx's sources: cargo gets them as it gets everything else.
CRATE=nginx-src
CRATE_VERSION=1.28.5
# What the tests use of nginx.
FLAGS=(--with-http_auth_request_module --with-http_realip_module --with-http_stub_status_module)
# Pools take each allocation from malloc.
POOLS='-O1 -g -DNGX_DEBUG_PALLOC=1'

usage() {
    cat <<'END_OF_USAGE'
Usage: scripts/build-nginx.sh [--pools | --asan] [DIR]

Builds an nginx that has the module compiled in (./configure --add-module) and
prints its path: target/nginx-VERSION/compiled-in/objs/nginx. The end-to-end
tests run on it with

  NGINX_TESTS_BINARY=PATH NGINX_TESTS_MODULE=compiled-in cargo test -p nginx-tests

  --pools  nginx's pools take each allocation from malloc, so that valgrind sees
           what is done to it before and after its life
  --asan   the same with -fsanitize=address,undefined, and the module with
           -Zsanitizer=address and all of Rust's checks, where there is a nightly
  DIR      a source tree of nginx; without it, that of the crate nginx-src
END_OF_USAGE
}

main() {
    # Without optimization it compiles in half the time.
    local name=compiled-in compiler=-O0 linker='' asan=''
    case ${1:-} in
        --pools) name=compiled-in-pools compiler=$POOLS; shift ;;
        --asan) asan=yes; shift ;;
        -h | --help) usage; return ;;
        -*) usage >&2; exit 2 ;;
    esac
    check_toolchain
    need_packages make:make
    local source tree
    if [ $# -gt 0 ]; then
        source=$(find_given_source "$1")
    else
        source=$(fetch_source)
    fi
    [ -f "$source/src/core/nginx.c" ] || die "$source holds nginx's headers, not its sources."
    NGINX_VERSION=$(version_in_header "$source")
    [ -z "$asan" ] || sanitize
    tree=$TARGET/nginx-$NGINX_VERSION/$name
    configure_copy "$source" "$tree" "${FLAGS[@]}" --with-cc-opt="$compiler" --with-ld-opt="$linker" --add-module="$ROOT"
    build "$tree"
    printf '%s\n' "$tree/objs/nginx"
}

# Sets main's name, compiler and linker, and what cargo reads in its environment.
sanitize() {
    local sanitizers=-fsanitize=address,undefined
    name=compiled-in-asan
    # Not what nginx does knowingly: it reads words where they lie, and copies nothing from nowhere.
    compiler="$POOLS $sanitizers -fno-sanitize=alignment,nonnull-attribute -fno-omit-frame-pointer -Wno-error"
    linker=$sanitizers
    # configure runs small programs, and cargo compilers, whose leaks are no matter.
    export ASAN_OPTIONS=detect_leaks=0
    if ! rustc +nightly --version >/dev/null 2>&1; then
        say "no nightly toolchain of Rust: the module is built without AddressSanitizer."
        name=$name-without-rust
        return
    fi
    export NGX_CARGO='cargo +nightly' RUSTFLAGS='-Zsanitizer=address -Cforce-frame-pointers'
    export CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS=true CARGO_PROFILE_RELEASE_OVERFLOW_CHECKS=true
    # Build scripts and macros run as always.
    export CARGO_UNSTABLE_TARGET_APPLIES_TO_HOST=true CARGO_TARGET_APPLIES_TO_HOST=false
}

fetch_source() {
    local directory=$TARGET/$CRATE manifest
    mkdir -p "$directory"
    cat >"$directory/Cargo.toml" <<END_OF_MANIFEST
[package]
name = "nginx-source"
edition = "2021"

[lib]
path = "/dev/null"

[dependencies]
$CRATE = "=$CRATE_VERSION"

[workspace]
END_OF_MANIFEST
    manifest=$(cargo metadata --quiet --format-version 1 --manifest-path "$directory/Cargo.toml" |
        grep -o "\"manifest_path\":\"[^\"]*/$CRATE-[^\"]*\"" | cut -d '"' -f 4)
    [ -n "$manifest" ] || die "cargo could not get the crate $CRATE."
    printf '%s/nginx\n' "$(dirname "$manifest")"
}

# Neither make nor cargo does again what is done.
build() {
    say "building nginx $NGINX_VERSION with the module compiled in"
    if ! (cd "$1" && make -f objs/Makefile -j "$(nproc)" binary) >"$1/make.log" 2>&1 </dev/null; then
        tail -n 20 "$1/make.log" >&2
        die "nginx was not built: see $1/make.log"
    fi
}

main "$@"
