#!/usr/bin/env bash
# Builds an nginx for tests. The last line printed is its path.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# This crate is nginx's sources.
CRATE=nginx-src
CRATE_VERSION=1.28.5

# What the tests use of nginx.
FLAGS=(
    --with-http_addition_module --with-http_auth_request_module --with-http_realip_module
    --with-http_stub_status_module --with-poll_module --with-select_module
)
# Pools take each allocation from malloc.
POOLS='-O1 -g -DNGX_DEBUG_PALLOC=1'

# How those configure it that ship it, as `nginx -V` tells. Modules that are files of their own and those
# for other protocols are left out: --with-compat says that structures don't depend on them.
NGINX_ORG=(
    --with-compat --with-file-aio --with-threads
    --with-http_addition_module --with-http_auth_request_module --with-http_dav_module --with-http_flv_module
    --with-http_gunzip_module --with-http_gzip_static_module --with-http_mp4_module --with-http_random_index_module
    --with-http_realip_module --with-http_secure_link_module --with-http_slice_module --with-http_ssl_module
    --with-http_stub_status_module --with-http_sub_module --with-http_v2_module
)
UBUNTU=(
    --with-compat --with-debug --with-pcre-jit --with-threads
    --with-http_addition_module --with-http_auth_request_module --with-http_dav_module --with-http_gunzip_module
    --with-http_gzip_static_module --with-http_realip_module --with-http_slice_module --with-http_ssl_module
    --with-http_stub_status_module --with-http_sub_module --with-http_v2_module
)
# What 24.04 has beside that.
UBUNTU_24=(
    --with-http_flv_module --with-http_mp4_module --with-http_random_index_module --with-http_secure_link_module
)
RHEL=(
    --with-compat --with-debug --with-file-aio --with-pcre --with-pcre-jit --with-threads
    --with-http_addition_module --with-http_auth_request_module --with-http_dav_module --with-http_degradation_module
    --with-http_flv_module --with-http_gunzip_module --with-http_gzip_static_module --with-http_mp4_module
    --with-http_random_index_module --with-http_realip_module --with-http_secure_link_module --with-http_slice_module
    --with-http_ssl_module --with-http_stub_status_module --with-http_sub_module --with-http_v2_module
)

usage() {
    cat <<'END_OF_USAGE'
Usage: scripts/build-nginx.sh [--pools | --asan] [DIR]
       scripts/build-nginx.sh --as WHOSE [--musl [--without-tls]] [DIR]

Builds an nginx that has the module compiled in (./configure --add-module) and
prints its path: target/nginx-VERSION/compiled-in/objs/nginx. The end-to-end
tests run on it with

  NGINX_TESTS_BINARY=PATH NGINX_TESTS_MODULE=compiled-in cargo test -p nginx-tests

  --pools     nginx's pools take each allocation from malloc, so that valgrind sees
              what is done to it before and after its life
  --asan      the same with -fsanitize=address,undefined, and the module with
              -Zsanitizer=address and all of Rust's checks, where there is a nightly
  --as WHOSE  instead an nginx without the module, configured as in the packages of
              nginx.org, ubuntu-22.04, ubuntu-24.04 or rhel-9:
              target/nginx-VERSION/WHOSE/objs/nginx, to load a module
  --musl      that one with musl for its libc (WHOSE-musl)
  --without-tls  and without OpenSSL, which takes longer than all else (WHOSE-musl-plain)
  DIR         a source tree of nginx; without it, that of the crate nginx-src
              (--crate-version VERSION: which of it)
END_OF_USAGE
}

main() {
    local watched='' whose='' musl='' tls=yes source
    while [ $# -gt 0 ]; do
        case $1 in
            --pools | --asan) watched=${1#--} ;;
            --as) [ $# -ge 2 ] || die "--as needs a name."; whose=$2; check_known "$whose"; shift ;;
            --musl) musl=yes ;;
            --without-tls) tls='' ;;
            --crate-version) [ $# -ge 2 ] || die "--crate-version needs a version."; CRATE_VERSION=$2; shift ;;
            -h | --help) usage; return ;;
            -*) usage >&2; exit 2 ;;
            *) break ;;
        esac
        shift
    done
    # --pools and --asan are about the one, --musl about the other.
    case ${watched:+pools}-${whose:+as}-${musl:+musl}-${tls:+tls} in
        pools-as-* | *--musl-* | *--) usage >&2; exit 2 ;;
    esac
    [ $# -le 1 ] || { usage >&2; exit 2; }
    check_toolchain
    need_packages make:make
    if [ $# -gt 0 ]; then
        source=$(find_given_source "$1")
    else
        source=$(fetch_crate "$CRATE" "$CRATE_VERSION")/nginx
    fi
    [ -f "$source/src/core/nginx.c" ] || die "$source holds nginx's headers, not its sources."
    NGINX_VERSION=$(version_in_header "$source")
    if [ -n "$whose" ]; then
        build_as "$source" "$whose" "$musl" "$tls"
    else
        build_compiled_in "$source" "$watched"
    fi
}

check_known() {
    case $1 in
        nginx.org | ubuntu-22.04 | ubuntu-24.04 | rhel-9) ;;
        *) die "--as takes nginx.org, ubuntu-22.04, ubuntu-24.04 or rhel-9, not $1." ;;
    esac
}

build_compiled_in() {
    # Without optimization it compiles in half the time.
    local source=$1 name=compiled-in compiler=-O0 linker='' tree
    case $2 in
        pools) name=compiled-in-pools compiler=$POOLS ;;
        asan) sanitize ;;
    esac
    tree=$TARGET/nginx-$NGINX_VERSION/$name
    configure_copy "$source" "$tree" "${FLAGS[@]}" --with-cc-opt="$compiler" --with-ld-opt="$linker" --add-module="$ROOT"
    build "$tree" "with the module compiled in"
}

# Sets its caller's name, compiler and linker, and what cargo reads in its environment.
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

build_as() {
    local source=$1 whose=$2 musl=$3 tls=$4 tree=$TARGET/nginx-$NGINX_VERSION/$2 flags libraries
    mapfile -t flags < <(flags_of "$whose" | { if [ -n "$tls" ]; then cat; else grep -vE '_(ssl|v3)_'; fi; })
    USUAL_FLAGS=()
    # The tests look for its first lines on stderr, as Debian's are.
    flags+=(--error-log-path=stderr)
    # Old versions warn about functions of new libraries.
    if [ -z "$musl" ]; then
        need_libraries
        flags+=(--with-cc-opt='-O1 -w')
    else
        tree=$tree-musl
        [ -n "$tls" ] || tree=$tree-plain
        libraries=$("$ROOT/scripts/musl-libraries.sh" ${tls:+--tls} | tail -n 1)
        flags+=(
            --with-cc=musl-gcc "--with-cc-opt=-O1 -w -I$libraries/include"
            "--with-ld-opt=-L$libraries/lib $([ -n "$tls" ] || echo "$libraries/lib/no-tls.o")"
        )
    fi
    configure_copy "$source" "$tree" "${flags[@]}"
    build "$tree" "as $whose configures it${musl:+, with musl}"
}

flags_of() {
    case $1 in
        nginx.org)
            printf '%s\n' "${NGINX_ORG[@]}"
            ! version_at_least "$NGINX_VERSION" 1.25.0 || printf '%s\n' --with-http_v3_module ;;
        ubuntu-22.04) printf '%s\n' "${UBUNTU[@]}" ;;
        ubuntu-24.04) printf '%s\n' "${UBUNTU[@]}" "${UBUNTU_24[@]}" ;;
        rhel-9) printf '%s\n' "${RHEL[@]}" ;;
    esac
}

# nginx speaks to PCRE2 since 1.21.5.
need_libraries() {
    local pcre=libpcre2-dev
    version_at_least "$NGINX_VERSION" 1.21.5 || pcre=libpcre3-dev
    need_packages "$pcre" zlib1g-dev libssl-dev
}

# Neither make nor cargo does again what is done.
build() {
    say "building nginx $NGINX_VERSION $2"
    if ! (cd "$1" && make -f objs/Makefile -j "$(nproc)" binary) >"$1/make.log" 2>&1 </dev/null; then
        tail -n 20 "$1/make.log" >&2
        die "nginx was not built: see $1/make.log"
    fi
    printf '%s\n' "$1/objs/nginx"
}

main "$@"
