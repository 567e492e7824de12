#!/usr/bin/env bash
# Builds the module for the installed nginx, or for another one's sources.
# The last line printed is the path of the module.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

usage() {
    cat <<'END'
Usage: scripts/build.sh [--nginx-source DIR] [--env]

Builds a release module for the installed nginx (packages nginx and nginx-dev)
and prints its path: target/nginx-VERSION/ngx_http_websocket_module.so

  --nginx-source DIR  build for the nginx in DIR: a source tree, configured or
                      not, or a nginx-dev package unpacked with `dpkg -x`
  --env               build nothing; print the variables that cargo needs, for
                      eval "$(scripts/build.sh --env)" && cargo clippy
END
}

main() {
    local source='' print_env=''
    while [ $# -gt 0 ]; do
        case $1 in
            --nginx-source) [ $# -ge 2 ] || die "--nginx-source needs a directory."; source=$2; shift ;;
            --nginx-source=*) source=${1#*=} ;;
            --env) print_env=yes ;;
            -h | --help) usage; return ;;
            *) usage >&2; exit 2 ;;
        esac
        shift
    done

    check_toolchain
    use_nginx_source "$source"
    if [ -n "$print_env" ]; then
        printf 'export %s=%q\n' NGINX_SOURCE_DIR "$NGINX_SOURCE_DIR" \
            NGINX_BUILD_DIR "$NGINX_BUILD_DIR" CARGO_TARGET_DIR "$CARGO_TARGET_DIR"
        return
    fi
    mkdir -p "$VERSION_DIR"
    trap 'give_back "$VERSION_DIR"' EXIT
    build
    if [ -n "$source" ]; then
        check "$VERSION_DIR/$MODULE_FILE"
    else
        check --nginx "$(command -v nginx)" "$VERSION_DIR/$MODULE_FILE"
    fi
    printf '%s\n' "$VERSION_DIR/$MODULE_FILE"
}

build() {
    local flags
    mapfile -t flags < <(cargo_flags)
    say "building for nginx $NGINX_VERSION"
    remap_paths
    cargo build --release --manifest-path "$ROOT/Cargo.toml" -p ngx-http-websocket-module "${flags[@]}" >&2
    # Renamed into place, never written over: an nginx that has the old file
    # mapped would crash.
    cp "$CARGO_TARGET_DIR/release/lib$MODULE_FILE" "$VERSION_DIR/$MODULE_FILE.new"
    mv "$VERSION_DIR/$MODULE_FILE.new" "$VERSION_DIR/$MODULE_FILE"
}

check() {
    if ! have readelf; then
        say "readelf is missing (package binutils): what the module is made of was not checked."
        return
    fi
    "$ROOT/scripts/check-module.sh" "$@" >&2
}

main "$@"
