#!/usr/bin/env bash
# Makes a release: the module for every nginx that is to be had here, and what belongs to it.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

NAME=ngx_http_websocket_module
RELEASES=(bookworm trixie forky)
# Of the crate nginx-src, those with nginx 1.28.0 and 1.28.3.
CRATES=(1.28.0 1.28.5)
# What reads Cargo.lock and writes a bill of materials.
CYCLONEDX_VERSION=0.5.9

usage() {
    cat <<'END_OF_USAGE'
Usage: scripts/release.sh [--arm64] [--nginx-source DIR]... VERSION
       scripts/release.sh --check VERSION

Makes the files of a release in target/dist/VERSION:

  ngx_http_websocket_module-VERSION-nginx-NGINX-PROCESSOR.so
                         the module, for each nginx of Debian's releases, of the
                         crate nginx-src, and of each DIR; it is built twice, in
                         different directories, and has to be the same to the byte;
                         what is built with Debian's headers is for Debian's nginx
                         alone, and NGINX is the name of its ABI, such as abi-1.22.1-7
  ngx_http_websocket_module-VERSION.tar.gz, …-vendor.tar.gz
                         the sources and their crates
  ….cdx.json             what is linked in, as CycloneDX
  LICENCES.txt           the licences of that
  SHA256SUMS

Before that: nothing is uncommitted, every place says VERSION, CHANGELOG.md has a
section for it, and docs/licences.md is right.

  --arm64  also for Debian's nginx on arm64 (scripts/arm64.sh)
  --check  only what has to be right before
END_OF_USAGE
}

main() {
    local check='' arm64='' given=()
    while [ $# -gt 0 ]; do
        case $1 in
            --check) check=yes ;;
            --arm64) arm64=yes ;;
            --nginx-source) [ $# -ge 2 ] || die "--nginx-source needs a directory."; given+=("$2"); shift ;;
            --nginx-source=*) given+=("${1#*=}") ;;
            -h | --help) usage; return ;;
            -*) usage >&2; exit 2 ;;
            *) break ;;
        esac
        shift
    done
    [ $# -eq 1 ] || { usage >&2; exit 2; }
    VERSION=$1
    check_tree
    [ -z "$check" ] || return 0

    check_toolchain
    need_packages binutils:strip
    OUT=$TARGET/dist/$VERSION
    WORK=$TARGET/release-work
    rm -rf "$OUT" "$WORK"
    mkdir -p "$OUT" "$WORK"
    list_sources "${given[@]}"
    two_trees
    local source
    for source in "${SOURCES[@]}"; do
        build_twice "$source"
    done
    [ -z "$arm64" ] || build_for_arm64
    add_sources
    add_bill
    "$ROOT/scripts/licences.py" --texts >"$OUT/LICENCES.txt"
    (cd "$OUT" && sha256sum -- * >SHA256SUMS.new && mv SHA256SUMS.new SHA256SUMS)
    rm -rf "$WORK"
    say "" "Done. What is left is for people: a tag, and putting these files where others find them."
    find "$OUT" -type f | LC_ALL=C sort
}

# ---- what has to be right ---------------------------------------------------

check_tree() {
    [ -z "$(git -C "$ROOT" status --porcelain)" ] || die "something is not committed: $(git -C "$ROOT" status --porcelain | head -n 3 | paste -s -d ' ')"
    "$ROOT/scripts/version.sh" "$VERSION" >/dev/null
    [ -n "$(section "$VERSION")" ] || die "CHANGELOG.md has no section \"## $VERSION\" with something in it."
    [ -z "$(section Unreleased)" ] || die "CHANGELOG.md has changes under \"## Unreleased\": they belong to $VERSION, or have to wait elsewhere."
    "$ROOT/scripts/licences.py" --check
}

# section TITLE   what the changelog has under it, without empty lines. A date may follow the title.
section() {
    awk -v title="$1" '/^## / { inside = $2 == title; next } inside && NF' "$ROOT/CHANGELOG.md"
}

# ---- the module -------------------------------------------------------------

# Sets SOURCES: each nginx once, what is given first.
list_sources() {
    local dir name seen=' ' release crate
    SOURCES=()
    local candidates=("$@")
    [ ! -f /usr/share/nginx/src/src/core/nginx.h ] || candidates+=(/usr/share/nginx/src)
    for release in "${RELEASES[@]}"; do
        [ ! -s "$ROOTS/$release.ready" ] || candidates+=("$ROOTS/$release-dev")
    done
    for crate in "${CRATES[@]}"; do
        candidates+=("$(fetch_crate nginx-src "$crate")/nginx")
    done
    for dir in "${candidates[@]}"; do
        dir=$(find_given_source "$dir")
        name=$(nginx_name "$dir")
        case $seen in
            *" $name "*) continue ;;
        esac
        seen+="$name "
        SOURCES+=("$dir")
    done
    say "for nginx$seen"
}

# The names are of different lengths: nothing may depend on where it is built.
two_trees() {
    local tree
    TREES=("$WORK/one" "$WORK/quite/another")
    for tree in "${TREES[@]}"; do
        mkdir -p "$tree"
        git -C "$ROOT" archive HEAD | tar -C "$tree" -xf -
    done
}

build_twice() {
    local nginx tree
    nginx=$(version_in_header "$1")
    for tree in "${TREES[@]}"; do
        # What all versions have in common is compiled once for each tree.
        CI=yes NGINX_CARGO_TARGET_DIR=$tree/target/cargo "$tree/scripts/build.sh" --nginx-source "$1" >/dev/null
    done
    keep "$(nginx_name "$1")" "$(uname -m)" strip "target/nginx-$nginx/$MODULE_FILE"
    # What else was built for this version: not needed any more, and large.
    rm -rf "${TREES[0]}/target/nginx-$nginx" "${TREES[1]}/target/nginx-$nginx"
}

build_for_arm64() {
    local first=${TREES[0]}/target/arm64 second=${TREES[1]}/target/arm64
    CI=yes "${TREES[0]}/scripts/arm64.sh" >/dev/null
    # What is downloaded is the same for both.
    mkdir -p "$second"
    ln -s "$first/root" "$second/root"
    cp "$first/ready" "$second/ready"
    CI=yes "${TREES[1]}/scripts/arm64.sh" >/dev/null
    keep "$(nginx_name "$first/root/usr/share/nginx/src")" aarch64 aarch64-linux-gnu-strip "target/arm64/$MODULE_FILE"
}

# keep NGINX PROCESSOR STRIP FILE   what both trees have built, if it is the same.
keep() {
    local file=$NAME-$VERSION-nginx-$1-$2.so tree
    for tree in "${TREES[@]}"; do
        "$3" --strip-unneeded -o "$tree/$file" "$tree/$4"
        NM=${3/strip/nm} "$tree/scripts/check-module.sh" --stripped "$tree/$file" >&2
    done
    cmp "${TREES[0]}/$file" "${TREES[1]}/$file" >&2 || die "the module for nginx $1 on $2 depends on where it is built."
    say "the same twice: $file"
    mv "${TREES[0]}/$file" "$OUT/"
}

# ---- what belongs to it -----------------------------------------------------

add_sources() {
    "$ROOT/scripts/package-others.sh" sources >/dev/null
    cp "$TARGET/packages/sources/"*.tar.gz "$OUT/"
}

# Of the crate as it is released, on Linux. Its time is that of the commit, so that it is the same again.
add_bill() {
    local tree=${TREES[0]} bill=$NAME-$VERSION.cdx
    have cargo-cyclonedx || cargo install --quiet --locked --version "$CYCLONEDX_VERSION" cargo-cyclonedx
    SOURCE_DATE_EPOCH=$(git -C "$ROOT" log -1 --format=%ct) cargo cyclonedx --quiet --no-build-deps --format json \
        --target x86_64-unknown-linux-gnu --override-filename "$bill" --manifest-path "$tree/Cargo.toml"
    [ -s "$tree/$bill.json" ] || die "cargo cyclonedx wrote no $bill.json."
    ! grep -qF "$tree" "$tree/$bill.json" || sed -i "s|$tree|/src|g" "$tree/$bill.json"
    cp "$tree/$bill.json" "$OUT/"
}

main "$@"
