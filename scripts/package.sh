#!/usr/bin/env bash
# Builds the Debian packages, for each release against its own nginx.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

RELEASES=(bookworm trixie forky)

usage() {
    cat <<'END'
Usage: scripts/package.sh [--test] [RELEASE...]

Builds the packages for each Debian release (bookworm, trixie and forky, if none
is named) into target/packages/RELEASE, and has that release's lintian look at
them. Needs root: it works in minimal roots (scripts/roots.sh).

The Rust is compiled here, since not every release has a recent enough rustc,
against the release's own nginx-dev. The packages are made of it in the root, by
the release's own debhelper. For check-websocket this machine's libc must not be
newer than that of the oldest release: build on that one.

  --test  then runs scripts/test-packages.sh on them
END
}

main() {
    local release test=''
    while [ $# -gt 0 ]; do
        case $1 in
            --test) test=yes ;;
            -h | --help) usage; return ;;
            -*) usage >&2; exit 2 ;;
            *) break ;;
        esac
        shift
    done
    [ $# -gt 0 ] || set -- "${RELEASES[@]}"
    check_releases "$@"

    need_packages gcc:cc libc6-dev binutils:nm dpkg-dev:dpkg-parsechangelog
    has_libclang || need_packages libclang-dev
    check_versions
    for release in "$@"; do
        package "$release"
    done
    give_back "$TARGET/packages"
    [ -z "$test" ] || "$ROOT/scripts/test-packages.sh" "$@"
}

# The same version in Cargo.toml and debian/changelog, or the package lies.
check_versions() {
    local crate package
    crate=$(sed -n '/^\[workspace.package\]/,/^\[[a-v]/ s/^version = "\(.*\)"/\1/p' "$ROOT/Cargo.toml")
    package=$(dpkg-parsechangelog -l "$ROOT/debian/changelog" -S Version)
    [ "$crate" = "$package" ] || die "Cargo.toml says version $crate, debian/changelog $package."
    VERSION=$package
}

package() {
    local release=$1 root=$ROOTS/$1-build out=$TARGET/packages/$1 log=$TARGET/packages/$1.log work
    "$ROOT/scripts/roots.sh" --build "$release" >&2
    work=$root/build
    rm -rf "$out"
    mkdir -p "$out"
    prepare_package "$work" --nginx-source "$root"
    name_release "$root" "$work/source/debian/changelog"

    say "packaging for Debian $release"
    if ! in_root "$root" sh -c "cd /build/source && PREBUILT=/build/prebuilt dpkg-buildpackage -b -us -uc -P$PREBUILT_PROFILE" >"$log" 2>&1 </dev/null; then
        tail -n 20 "$log" >&2
        die "could not build the packages for Debian $release: see $log"
    fi
    find "$work" -maxdepth 1 -type f -exec mv -t "$out" {} +
    check_package "$release" "$root" "$out"
    rm -rf "$work"
    find "$out" -name '*.deb' | LC_ALL=C sort
}

# Each release has a version of its own, and they sort as the releases do.
name_release() {
    local number codename
    read -r number codename <<<"$(release_of "$1")"
    sed -i "1s/(.*) [a-z]*;/($VERSION~deb$number) $codename;/" "$2"
}

# The number and the name of a release. Testing has no number until it is out.
release_of() {
    # shellcheck disable=SC2016 # for the other shell
    in_root "$1" sh -c '. /etc/os-release
        [ "$VERSION_CODENAME" != forky ] || VERSION_ID=14
        echo "${VERSION_ID:?}" "$VERSION_CODENAME"'
}

check_package() {
    local release=$1 root=$2 out=$3 unpacked changes
    unpacked=$root/build/unpacked
    dpkg -x "$out"/libnginx-mod-http-websocket_*.deb "$unpacked"
    "$ROOT/scripts/check-module.sh" --stripped "$unpacked/usr/lib/nginx/modules/$MODULE_FILE" >&2
    dpkg-deb -f "$out"/libnginx-mod-http-websocket_*.deb Depends | grep -q nginx-abi- || die "the package depends on no nginx ABI."

    mkdir -p "$root/build/lintian"
    cp "$out"/* "$root/build/lintian/"
    changes=$(basename "$out"/*.changes)
    # Its own words are kept: warnings are for reading, errors end this.
    if ! in_root "$root" lintian --allow-root --fail-on error "/build/lintian/$changes" >"$out.lintian" 2>&1 </dev/null; then
        cat "$out.lintian" >&2
        die "lintian of Debian $release found errors."
    fi
    say "lintian of Debian $release: no errors, $(grep -c '^W:' "$out.lintian" || true) warnings ($out.lintian)"
}

main "$@"
