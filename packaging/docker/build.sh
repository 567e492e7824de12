#!/bin/sh
# The work of the first stage: inside an image of nginx, builds the module for it.
#
#   build.sh SOURCE OUT    SOURCE: nginx's sources, or an empty directory; OUT: the file to write
#
# It uses what the image's distribution has: its Rust, its compiler, its libclang. Neither it nor the
# registry of crates has nginx's sources of each version, so these are nginx.org's, unless SOURCE holds some.
set -eu

ROOT=$(cd "$(dirname "$0")/../.." && pwd)

say() { printf '%s\n' "$*" >&2; }
die() { say "error: $*"; exit 1; }

main() {
    [ $# -eq 2 ] || die "usage: build.sh SOURCE OUT"
    VERSION=$(nginx -v 2>&1 | sed -n 's|^nginx version: nginx/\([0-9.]*\).*|\1|p')
    [ -n "$VERSION" ] || die "this image has no nginx in its PATH: $(nginx -v 2>&1 || true)"
    nginx -V 2>&1 | grep -q -e --with-compat || die "the nginx of this image was built without --with-compat: a module would have to be built with all of its options."
    say "for nginx $VERSION"

    install_tools
    get_source "$1"
    given=$(sed -n 's/^#define NGINX_VERSION  *"\([0-9.]*\)".*/\1/p' "$SOURCE/src/core/nginx.h")
    [ "$given" = "$VERSION" ] || die "these are the sources of nginx $given, but this image has nginx $VERSION."
    "$ROOT/scripts/build.sh" --nginx-source "$SOURCE" >/tmp/built
    module=$(tail -n 1 /tmp/built)
    "$ROOT/scripts/check-module.sh" --nginx "$(command -v nginx)" "$module"
    cp "$module" "$2"
    strip --strip-debug "$2"
    load "$2"
    say "built $2"
}

install_tools() {
    if command -v apt-get >/dev/null; then
        apt-get update
        DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
            bash binutils ca-certificates cargo curl gcc libc6-dev libclang-dev libpcre2-dev libssl-dev zlib1g-dev
    elif command -v apk >/dev/null; then
        apk add --no-cache \
            bash binutils cargo coreutils curl findutils gcc grep linux-headers musl-dev openssl-dev pcre2-dev sed zlib-dev
        # The one of clang 21 has been seen not to load where libc is musl.
        apk add --no-cache clang20-libclang || apk add --no-cache clang-libclang
    else
        die "this image has neither apt-get nor apk: take the file from another image of nginx $VERSION, it fits every libc."
    fi
}

# Sets SOURCE.
get_source() {
    if [ -n "$(ls -A "$1")" ]; then
        SOURCE=$1
        return
    fi
    curl -fsSL -o /tmp/nginx.tar.gz "https://nginx.org/download/nginx-$VERSION.tar.gz"
    if [ -n "${NGINX_SOURCE_SHA256:-}" ]; then
        echo "$NGINX_SOURCE_SHA256  /tmp/nginx.tar.gz" | sha256sum -c - >&2
    fi
    tar -C /tmp -xzf /tmp/nginx.tar.gz
    SOURCE=/tmp/nginx-$VERSION
}

# By itself: the image's own configuration may have things that are not there while it is built.
load() {
    mkdir -p /tmp/load
    cat >/tmp/load/nginx.conf <<END_OF_CONFIG
load_module $1;
pid /tmp/load/pid;
events {
}
http {
    websocket on;
}
END_OF_CONFIG
    nginx -t -q -e /tmp/load/error.log -c /tmp/load/nginx.conf || die "the nginx of this image does not load what was built for it."
}

main "$@"
