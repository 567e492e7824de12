# shellcheck shell=bash
# What the scripts beside this file share. To be sourced, not run.
#
# Messages go to stderr: what a script prints on stdout is its result.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
TARGET=$ROOT/target
# shellcheck disable=SC2034 # for the scripts that source this
ROOTS=$TARGET/roots
# What other people wrote, for tests.
INTEROP=$TARGET/interop
# shellcheck disable=SC2034
MODULE_FILE=ngx_http_websocket_module.so
# The build profile in which debian/rules calls no cargo.
# shellcheck disable=SC2034
PREBUILT_PROFILE=pkg.libnginx-mod-http-websocket.prebuilt
# The oldest Rust that builds the workspace: `rust-version` in Cargo.toml.
RUST_MINIMUM=1.85

# Services and containers may not say it; the user's entry does.
HOME=${HOME:-~}

# nginx and debootstrap live where an ordinary user's PATH doesn't look, and
# rustup's cargo where a login shell's profile may not have been read.
PATH=$PATH:/usr/sbin:/sbin:$HOME/.cargo/bin
# sudo has others than whoever called it. The crates that cargo gets go to root's home all the same: what
# root writes into another, its owner can't change.
if [ -n "${SUDO_USER:-}" ] && [ "$(id -u)" -eq 0 ]; then
    CALLERS_HOME=$(getent passwd "$SUDO_USER" 2>/dev/null | cut -d : -f 6) || true
    if [ -x "$CALLERS_HOME/.cargo/bin/cargo" ]; then
        PATH=$CALLERS_HOME/.cargo/bin:$PATH
        export RUSTUP_HOME=${RUSTUP_HOME:-$CALLERS_HOME/.rustup}
    fi
fi
export PATH

say() { printf '%s\n' "$@" >&2; }
die() { say "error: $*"; exit 1; }
# What can't be tried here. Who runs tests may want to know of all that at the end.
skipped() {
    say "$1"
    [ -z "${NGINX_TESTS_SKIPPED:-}" ] || printf '%s\n' "$1" >>"$NGINX_TESTS_SKIPPED"
}
have() { command -v "$1" >/dev/null 2>&1; }

# What a run in CI must not do: take other versions of the dependencies than
# the ones in Cargo.lock.
cargo_flags() { [ -z "${CI:-}" ] || printf '%s\n' --locked; }

# give_back DIRECTORY...   what was built below target by sudo, to whoever called it, if the tree is theirs: else they
# could not build there any more.
give_back() {
    if [ -z "${SUDO_UID:-}" ] || [ "$(id -u)" -ne 0 ] || [ "$(stat -c %u "$ROOT")" != "$SUDO_UID" ]; then return; fi
    chown -h "$SUDO_UID:${SUDO_GID:-}" "$TARGET" || true
    chown -hR "$SUDO_UID:${SUDO_GID:-}" "$@" || true
}

# For what ends up in a list of words: there is no way to quote a directory for nginx's configure, nor for rpm's macros.
need_plain_path() {
    case $ROOT in
        *[[:space:]]*) die "this does not work in a directory with a space in its path: $ROOT" ;;
    esac
}

# ---- Debian packages --------------------------------------------------------

# need_packages PACKAGE[:COMMAND]...   installs what is missing, or says what to
# run. A package whose COMMAND is there counts as installed, wherever it is from.
need_packages() {
    local missing
    read -r -a missing <<<"$(missing_packages "$@")"
    [ "${#missing[@]}" -gt 0 ] || return 0
    have apt-get || die "not found: ${missing[*]} (as Debian names the packages); install them and run this again."
    if [ "$(id -u)" -ne 0 ]; then
        die "some packages are missing; install them with: sudo apt-get install ${missing[*]}"
    fi
    install_packages "${missing[@]}" || die "apt-get could not install: ${missing[*]}"
}

# The same for what a run can do without: a reason on stderr, and status 1.
want_packages() {
    local missing
    read -r -a missing <<<"$(missing_packages "$@")"
    [ "${#missing[@]}" -gt 0 ] || return 0
    if ! have apt-get || [ "$(id -u)" -ne 0 ]; then
        say "not installed: ${missing[*]} (only root can do that here)"
        return 1
    fi
    install_packages "${missing[@]}" || { say "apt-get could not install: ${missing[*]}"; return 1; }
}

missing_packages() {
    local wanted missing=()
    for wanted in "$@"; do
        case $wanted in
            *:*) have "${wanted#*:}" && continue ;;
        esac
        is_installed "${wanted%%:*}" || missing+=("${wanted%%:*}")
    done
    printf '%s\n' "${missing[*]}"
}

is_installed() {
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

install_packages() (
    say "installing: $*"
    deny_services
    log=$(mktemp)
    trap 'rm -f "$log"; allow_services' EXIT
    export DEBIAN_FRONTEND=noninteractive
    quietly() { "$@" >"$log" 2>&1 </dev/null || { tail -n 20 "$log" >&2; return 1; }; }
    # Lists that can't be refreshed may still do.
    quietly apt-get update || say "apt-get update failed; trying with the existing package lists."
    quietly apt-get install -y --no-install-recommends "$@"
)

# Debian starts a service as it installs it: nginx would take port 80 of whoever
# only wanted to run the tests. policy-rc.d is the documented way to say no.
deny_services() {
    POLICY_IS_OURS=
    [ ! -e /usr/sbin/policy-rc.d ] || return 0
    printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
    chmod 755 /usr/sbin/policy-rc.d
    POLICY_IS_OURS=yes
}

allow_services() {
    [ -z "$POLICY_IS_OURS" ] || rm -f /usr/sbin/policy-rc.d
}

# logged NAME COMMAND...   runs it quietly; its last words only if it failed.
logged() {
    local log=$TARGET/$1.log
    shift
    "$@" >"$log" 2>&1 </dev/null || { tail -n 5 "$log" >&2; return 1; }
}

# ---- Python, with what tests take from it -----------------------------------

prepare_python() {
    local python=$INTEROP/venv/bin/python
    ! "$python" -c 'import websockets, prometheus_client' 2>/dev/null || return 0
    python3 -c 'import ensurepip, venv' 2>/dev/null || want_packages python3 python3-venv || return 1
    rm -rf "$INTEROP/venv"
    logged python python3 -m venv "$INTEROP/venv" || return 1
    logged python "$python" -m pip install --quiet 'websockets>=13,<17' \
        'prometheus_client>=0.20,<1'
}

# A client that speaks HTTP/2, and the frames of its WebSockets.
prepare_h2() {
    local python=$INTEROP/venv/bin/python
    ! "$python" -c 'import h2, wsproto' 2>/dev/null || return 0
    logged h2 "$python" -m pip install --quiet 'h2>=4,<5' 'wsproto>=1.2,<2'
}

# Autobahn's cases. By itself: there are wheels for some machines only.
prepare_kosoku() {
    local python=$INTEROP/venv/bin/python
    ! "$python" -c 'import kosoku' 2>/dev/null || return 0
    logged kosoku "$python" -m pip install --quiet --only-binary :all: 'kosoku>=0.1,<0.2'
}

# What building the module takes, beside Rust.
need_build_packages() {
    has_libclang || need_packages libclang-dev
    need_packages gcc:cc libc6-dev binutils:nm nginx nginx-dev
}

# ---- the tools that build the module ----------------------------------------

check_toolchain() {
    have cargo || die "cargo is missing: install a Rust toolchain of version $RUST_MINIMUM or later (with rustup, or the packages cargo and rustc where they are recent enough)."
    check_rust_version
    have cc || die "no C compiler found: install the package gcc."
    has_libclang || die "libclang is missing (it reads nginx's headers): install the package libclang-dev."
}

check_rust_version() {
    local version
    version=$(rustc --version 2>/dev/null | cut -d ' ' -f 2) || true
    [ -n "$version" ] || die "rustc is missing or doesn't run: install a Rust toolchain of version $RUST_MINIMUM or later (with rustup, or the packages cargo and rustc)."
    version_at_least "$version" "$RUST_MINIMUM" || die "Rust $version is too old, $RUST_MINIMUM or later is needed: update it with rustup (packages cargo and rustc are this recent from Debian 13 on)."
}

version_at_least() { [ "$(printf '%s\n%s\n' "$1" "$2" | sort -V | head -n 1)" = "$2" ]; }

# Looks where bindgen will: LIBCLANG_PATH, llvm-config, the usual directories.
has_libclang() {
    local dirs=(/usr/lib/llvm-*/lib /usr/lib/*-linux-gnu* /usr/lib64 /usr/lib /usr/local/lib*)
    [ -z "${LIBCLANG_PATH:-}" ] || return 0
    ! have llvm-config || dirs+=("$(llvm-config --libdir)")
    [ -n "$(find -L "${dirs[@]}" -maxdepth 1 \( -name 'libclang.so*' -o -name 'libclang-[0-9]*.so*' \) -print -quit 2>/dev/null)" ]
}

# remap_paths   has cargo leave out where things are on this machine: a binary that
# is handed on must not say it. RUSTFLAGS goes on, in the form that allows spaces.
remap_paths() {
    local pair flags=()
    read -r -a flags <<<"${RUSTFLAGS:-}"
    for pair in "${CARGO_HOME:-$HOME/.cargo}=/cargo" "$ROOT=/src"; do
        flags+=("--remap-path-prefix=$pair")
    done
    CARGO_ENCODED_RUSTFLAGS=$(printf '%s\x1f' "${flags[@]}")
    CARGO_ENCODED_RUSTFLAGS=${CARGO_ENCODED_RUSTFLAGS%$'\x1f'}
    export CARGO_ENCODED_RUSTFLAGS
}

# fetch_crate NAME VERSION   prints where cargo has the sources of this crate: it gets them
# as it gets everything else.
fetch_crate() {
    local name=$1 version=$2 directory=$TARGET/crates/$1-$2 manifest
    mkdir -p "$directory"
    cat >"$directory/Cargo.toml" <<END_OF_MANIFEST
[package]
name = "source"
edition = "2021"

[lib]
path = "/dev/null"

[dependencies]
$name = "=$version"

[workspace]
END_OF_MANIFEST
    manifest=$(cargo metadata --quiet --format-version 1 --manifest-path "$directory/Cargo.toml" |
        grep -o "\"manifest_path\":\"[^\"]*/${name}-${version}[^\"]*/Cargo.toml\"" | cut -d '"' -f 4 | head -n 1)
    [ -n "$manifest" ] || die "cargo could not get the crate $name."
    dirname "$manifest"
}

# ---- the nginx to build for -------------------------------------------------

# use_nginx_source [DIR]   finds, and if need be configures, the nginx sources of
# DIR or of the installed nginx. Sets NGINX_VERSION and VERSION_DIR, and for the
# crates that read nginx's headers exports NGINX_SOURCE_DIR, NGINX_BUILD_DIR and
# CARGO_TARGET_DIR: one for each version, or each switch would build a part anew.
# Where many versions are built once, NGINX_CARGO_TARGET_DIR names one for all.
use_nginx_source() {
    local source
    if [ -n "${1:-}" ]; then
        source=$(find_given_source "$1")
    else
        source=$(find_installed_source)
    fi
    NGINX_VERSION=$(version_in_header "$source")
    VERSION_DIR=$TARGET/nginx-$NGINX_VERSION
    if is_configured "$source"; then
        NGINX_SOURCE_DIR=$source
    else
        NGINX_SOURCE_DIR=$VERSION_DIR/source
        configure_copy "$source" "$NGINX_SOURCE_DIR"
    fi
    NGINX_BUILD_DIR=$NGINX_SOURCE_DIR/objs
    CARGO_TARGET_DIR=${NGINX_CARGO_TARGET_DIR:-$VERSION_DIR/cargo}
    export NGINX_SOURCE_DIR NGINX_BUILD_DIR CARGO_TARGET_DIR
}

find_given_source() {
    local dir
    # A source tree, or a nginx-dev package unpacked with `dpkg -x`.
    for dir in "$1" "$1/usr/share/nginx/src"; do
        [ -f "$dir/src/core/nginx.h" ] || continue
        (cd "$dir" && pwd)
        return
    done
    die "$1 holds no nginx sources: it has no src/core/nginx.h."
}

find_installed_source() {
    local source=/usr/share/nginx/src installed headers
    have nginx || die "nginx is missing: install the package nginx, or name a source tree with --nginx-source."
    [ -f $source/src/core/nginx.h ] || die "nginx's headers are missing: install the package nginx-dev, or name a source tree with --nginx-source."
    installed=$(nginx -v 2>&1 | sed -n 's|^nginx version: [^/]*/\([0-9.]*\).*|\1|p')
    headers=$(version_in_header $source)
    [ "$installed" = "$headers" ] || die "the installed nginx is $installed, the package nginx-dev is for $headers: install the one that fits, or name a source tree with --nginx-source."
    printf '%s\n' $source
}

version_in_header() {
    local version
    version=$(sed -n 's/^#define NGINX_VERSION  *"\([0-9.]*\)".*/\1/p' "$1/src/core/nginx.h")
    [ -n "$version" ] || die "$1/src/core/nginx.h does not give a version."
    printf '%s\n' "$version"
}

# debian_abi SOURCE   what Debian calls these headers, such as 1.22.1-7, or nothing where they are not from a package
# of Debian or Ubuntu. These may have changed what nginx.org has under the same version.
debian_abi() { sed -n 's/^nginx:abi=nginx-abi-//p' "$1"/debian/*.abisubstvars 2>/dev/null | head -n 1 || true; }

# nginx_name SOURCE   what a file is called after that is built with these headers: Debian's by their ABI, since nginx.org's
# nginx of the same version may not take it, nor the reverse.
nginx_name() {
    local abi
    abi=$(debian_abi "$1")
    printf '%s\n' "${abi:+abi-}${abi:-$(version_in_header "$1")}"
}

is_configured() { [ -f "$1/objs/ngx_auto_config.h" ] && [ -f "$1/objs/Makefile" ]; }

# configure_copy SOURCE COPY [FLAG...]   unless something is to be compiled,
# nginx-dev's headers do.
configure_copy() {
    local source=$1 copy=$2 stamp
    shift 2
    stamp="$(source_fingerprint "$source") $(cat "$ROOT"/config* "$ROOT/auto/rust" | cksum) $*"
    if is_configured "$copy" && [ "$(cat "$copy/.fingerprint" 2>/dev/null)" = "$stamp" ]; then
        return
    fi
    have cc || die "no C compiler found: install the package gcc."
    say "configuring nginx $NGINX_VERSION"
    rm -rf "$copy"
    mkdir -p "$copy"
    cp -RL "$source/." "$copy/"
    if ! (cd "$copy" && run_configure "$@") >"$copy/configure.log" 2>&1 </dev/null; then
        grep -A 3 -i -w -E 'error|no supported' "$copy/configure.log" | head -n 8 >&2 || true
        die "nginx's configure failed: see $copy/configure.log (the headers it needs are in the packages libpcre2-dev, zlib1g-dev and libssl-dev)."
    fi
    printf '%s\n' "$stamp" >"$copy/.fingerprint"
}

# A new Debian revision keeps the version and may change a header.
source_fingerprint() {
    (cd "$1" && find . -path ./objs -prune -o -type f \
        \( -name '*.[ch]' -o -path './auto/*' -o -name configure -o -name conf_flags \) \
        -print0 | LC_ALL=C sort -z | xargs -0 cat | cksum)
}

USUAL_FLAGS=(--with-compat --with-http_ssl_module --with-http_v2_module)

run_configure() {
    local script=./configure
    # A checkout has the script under auto/, a release at the top.
    [ -f "$script" ] || script=auto/configure
    NGX_CONF_FLAGS=("${USUAL_FLAGS[@]}")
    # Debian says in conf_flags how its nginx was configured, as far as that
    # matters to modules: its own module packages are built with it.
    if [ -f conf_flags ]; then
        # shellcheck source=/dev/null
        . ./conf_flags
    fi
    sh "$script" "${NGX_CONF_FLAGS[@]}" "$@"
}

# ---- making packages --------------------------------------------------------

# prepare_package WORK [ARGUMENT...]   leaves in WORK/source the sources, and in
# WORK/prebuilt what debian/rules would otherwise call cargo for. The arguments
# are for build.sh.
prepare_package() {
    local work=$1 module
    shift
    rm -rf "$work"
    mkdir -p "$work/source" "$work/prebuilt"
    tar -C "$ROOT" --exclude=target --exclude=./.git -cf - . | tar -C "$work/source" --no-same-owner -xf -
    module=$("$ROOT/scripts/build.sh" "$@" | tail -n 1)
    build_programs
    cp "$module" "$TARGET/programs/release/check-websocket" "$work/prebuilt/"
}

# The same for every nginx, so it is built once.
build_programs() (
    say "building check-websocket"
    mkdir -p "$TARGET/programs"
    trap 'give_back "$TARGET/programs"' EXIT
    remap_paths
    mapfile -t flags < <(cargo_flags)
    cargo build --release --manifest-path "$ROOT/Cargo.toml" --target-dir "$TARGET/programs" -p check-websocket "${flags[@]}" >&2
)

# ---- minimal Debian systems -------------------------------------------------

# A folder is named after a release, and removed as root: no other word goes there.
DEBIAN_RELEASES=(bookworm trixie forky sid)

check_releases() {
    local release known
    [ $# -gt 0 ] || die "no release is named."
    for release in "$@"; do
        for known in "${DEBIAN_RELEASES[@]}"; do
            [ "$release" != "$known" ] || continue 2
        done
        die "\"$release\" is none of the releases known here: ${DEBIAN_RELEASES[*]}."
    done
}

in_root() {
    local root=$1
    shift
    env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C DEBIAN_FRONTEND=noninteractive chroot "$root" "$@"
}

# copy_root ROOT COPY   without what tests have under way in its /tmp.
copy_root() {
    mkdir -p "$2"
    tar -C "$1" --one-file-system --exclude='./tmp/*' -cf - . | tar -C "$2" -xpf -
}

# What a broken-off run left, but never through something mounted inside it.
remove_root() {
    local mounted
    while read -r _ mounted _; do
        case $mounted in
            "$1"/*) umount "$mounted" || die "$mounted is still mounted." ;;
        esac
    done < <(sort -r -k 2,2 /proc/mounts)
    rm -rf --one-file-system "$1"
}
