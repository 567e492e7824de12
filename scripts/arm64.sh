#!/usr/bin/env bash
# Builds the module for Debian's nginx on arm64, on another processor, and has QEMU run that nginx.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

TRIPLET=aarch64-linux-gnu
RUST_TARGET=aarch64-unknown-linux-gnu
WORK=$TARGET/arm64
# nginx with all that it needs, and the headers that its own are made of. As apt sees it, nothing is installed.
PACKAGES=(nginx nginx-dev libc6-dev libssl-dev libpcre2-dev zlib1g-dev)
SYSTEM=$WORK/root

usage() {
    cat <<'END_OF_USAGE'
Usage: scripts/arm64.sh

Builds the module for the nginx that this machine's Debian release has for arm64:
with Debian's cross compiler, against that nginx's own headers, and with Rust's
core for arm64 (rustup). Prints three lines: the version of nginx, a script that
runs it with QEMU, and the module. The end-to-end tests run on it with

  NGINX_TESTS_SLOW=6 NGINX_TESTS_BINARY=SCRIPT NGINX_TESTS_MODULE=MODULE \
      cargo test -p nginx-tests --test handshake
END_OF_USAGE
}

main() {
    case ${1:-} in
        -h | --help) usage; return ;;
        ?*) usage >&2; exit 2 ;;
    esac
    need_plain_path
    check_toolchain
    need_packages qemu-user-static:qemu-aarch64-static gcc-aarch64-linux-gnu:$TRIPLET-gcc binutils:nm
    need_core
    mkdir -p "$WORK"
    [ -s "$WORK/ready" ] || make_system
    write_tools
    configure
    build
    printf '%s\n' "$NGINX_VERSION" "$WORK/nginx" "$WORK/$MODULE_FILE"
}

need_core() {
    [ -z "$(find "$(rustc --print sysroot)/lib/rustlib/$RUST_TARGET" -name 'libcore-*.rlib' 2>/dev/null)" ] || return 0
    have rustup || die "Rust has no core for arm64: install it with \`rustup target add $RUST_TARGET\`."
    rustup target add "$RUST_TARGET" >&2
}

# ---- a system that is unpacked but not installed ----------------------------

# apt finds out what is needed, for another processor and as if nothing were installed, and gets it.
make_system() {
    local package
    say "getting Debian's nginx for arm64"
    rm -rf "$WORK"
    mkdir -p "$SYSTEM" "$WORK"/apt/{state/lists/partial,cache/archives/partial}
    : >"$WORK/apt/status"
    apt_for_arm64 update
    apt_for_arm64 install --download-only --yes --no-install-recommends "${PACKAGES[@]}"
    for package in "$WORK"/apt/cache/archives/*.deb; do
        dpkg -x "$package" "$SYSTEM"
    done
    rm -rf "$WORK/apt"
    version_in_header "$SYSTEM/usr/share/nginx/src" >"$WORK/ready"
}

apt_for_arm64() {
    apt-get -o APT::Architecture=arm64 -o APT::Architectures::=arm64 -o APT::Sandbox::User=root \
        -o Dir::State="$WORK/apt/state" -o Dir::State::status="$WORK/apt/status" -o Dir::Cache="$WORK/apt/cache" \
        "$@" >>"$WORK/apt.log" 2>&1 </dev/null || { tail -n 5 "$WORK/apt.log" >&2; die "apt-get $1 failed for arm64: see $WORK/apt.log"; }
}

# ---- what builds for it and runs it -----------------------------------------

write_tools() {
    local run
    mkdir -p "$WORK/bin"
    run="$(command -v qemu-aarch64-static) -L $SYSTEM"
    script "$WORK/nginx" <<END_OF_SCRIPT
exec $run $SYSTEM/usr/sbin/nginx "\$@"
END_OF_SCRIPT
    # nginx's configure asks which processor this is,
    script "$WORK/bin/uname" <<END_OF_SCRIPT
[ "\$*" != -m ] || { echo aarch64; exit; }
exec $(command -v uname) "\$@"
END_OF_SCRIPT
    # and runs what it compiles.
    script "$WORK/bin/cc" <<END_OF_SCRIPT
$TRIPLET-gcc --sysroot=$SYSTEM "\$@" || exit
test=objs/autotest
[ -x \$test ] && [ "\$(head -c 2 \$test)" != '#!' ] || exit 0
mv \$test \$test.arm64
printf '#!/bin/sh\nexec $run %s.arm64 "\$@"\n' \$test >\$test
chmod 755 \$test
END_OF_SCRIPT
}

# script FILE   with the lines of its input.
script() {
    { echo '#!/bin/sh'; cat; } >"$1"
    chmod 755 "$1"
}

configure() {
    NGINX_VERSION=$(cat "$WORK/ready")
    NGINX_SOURCE_DIR=$WORK/source
    PATH=$WORK/bin:$PATH configure_copy "$SYSTEM/usr/share/nginx/src" "$NGINX_SOURCE_DIR" --with-cc="$WORK/bin/cc"
    NGINX_BUILD_DIR=$NGINX_SOURCE_DIR/objs
    export NGINX_SOURCE_DIR NGINX_BUILD_DIR
}

build() {
    local flags built=$WORK/cargo/$RUST_TARGET/release/lib$MODULE_FILE
    mapfile -t flags < <(cargo_flags)
    say "building for nginx $NGINX_VERSION on arm64"
    remap_paths
    CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=$TRIPLET-gcc \
        CFLAGS_aarch64_unknown_linux_gnu="--sysroot=$SYSTEM" \
        BINDGEN_EXTRA_CLANG_ARGS="--sysroot=$SYSTEM" \
        cargo build --release --target "$RUST_TARGET" --target-dir "$WORK/cargo" \
        --manifest-path "$ROOT/Cargo.toml" -p ngx-http-websocket-module "${flags[@]}" >&2
    cp "$built" "$WORK/$MODULE_FILE.new"
    mv "$WORK/$MODULE_FILE.new" "$WORK/$MODULE_FILE"
    NM=$TRIPLET-nm "$ROOT/scripts/check-module.sh" --nginx "$SYSTEM/usr/sbin/nginx" "$WORK/$MODULE_FILE" >&2
}

main "$@"
