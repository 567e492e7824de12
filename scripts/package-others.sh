#!/usr/bin/env bash
# Builds the packages that are not Debian's: for the nginx of Fedora and RHEL, and for nginx.org's.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

NAME=ngx_http_websocket_module
OUT=$TARGET/packages

usage() {
    cat <<'END_OF_USAGE'
Usage: scripts/package-others.sh --nginx-source DIR KIND...
       scripts/package-others.sh sources

Builds packages for the nginx whose sources are in DIR, into target/packages/KIND:

  rpm            nginx-mod-http-websocket, for the nginx of Fedora, RHEL and their kin
  nginx.org-rpm  nginx-module-websocket, for the rpm packages of nginx.org
  nginx.org-deb  nginx-module-websocket, for the deb packages of nginx.org
  sources        what these and packaging/alpine/APKBUILD are built from: what is committed,
                 and its crates; into target/packages/sources

Everything is compiled here, with this machine's Rust. Without nginx-mod-devel, which no other
distribution has, its macros are stood in for.
END_OF_USAGE
}

main() {
    local source='' kind
    while [ $# -gt 0 ]; do
        case $1 in
            --nginx-source) [ $# -ge 2 ] || die "--nginx-source needs a directory."; source=$2; shift ;;
            --nginx-source=*) source=${1#*=} ;;
            -h | --help) usage; return ;;
            -*) usage >&2; exit 2 ;;
            *) break ;;
        esac
        shift
    done
    [ $# -gt 0 ] || { usage >&2; exit 2; }
    for kind in "$@"; do
        case $kind in
            rpm | nginx.org-rpm | nginx.org-deb)
                [ -n "$source" ] || die "$kind needs --nginx-source DIR."
                need_plain_path
                ;;
            sources) ;;
            *) die "\"$kind\" is none of: rpm, nginx.org-rpm, nginx.org-deb, sources." ;;
        esac
    done

    VERSION=$(sed -n '/^\[workspace.package\]/,/^\[[a-v]/ s/^version = "\(.*\)"/\1/p' "$ROOT/Cargo.toml")
    if [ -n "$source" ]; then
        check_toolchain
        SOURCE=$(find_given_source "$source")
        NGINX_VERSION=$(version_in_header "$SOURCE")
        [ -z "$(debian_abi "$SOURCE")" ] || die "$SOURCE has the headers of Debian's nginx, and these packages are for another: take the sources that the nginx they are for is built from."
    fi
    make_sources
    for kind in "$@"; do
        case $kind in
            rpm) build_rpm rpm packaging/rpm/nginx-mod-http-websocket.spec ;;
            nginx.org-rpm) build_rpm nginx.org-rpm packaging/nginx.org/nginx-module-websocket.spec ;;
            nginx.org-deb) build_deb ;;
            sources) find "$OUT/sources" -type f | LC_ALL=C sort ;;
        esac
    done
}

# ---- what they are built from -----------------------------------------------

make_sources() {
    local out=$OUT/sources
    [ -z "$(git -C "$ROOT" status --porcelain)" ] || say "note: what is not committed is not packaged."
    mkdir -p "$out"
    find "$out" -type f ! -name "$NAME-$VERSION*" -delete
    git -C "$ROOT" archive --format=tar --prefix="$NAME-$VERSION/" HEAD | gzip -9n >"$out/$NAME-$VERSION.tar.gz"
    # As long as the crates are the same, so is what is made of them.
    if [ ! -f "$out/$NAME-$VERSION-vendor.tar.gz" ] ||
        [ "$(git -C "$ROOT" show HEAD:Cargo.lock | cksum)" != "$(cat "$OUT/sources.lock" 2>/dev/null)" ]; then
        vendor "$out"
    fi
}

vendor() {
    local tree=$OUT/vendor-work
    say "collecting the crates"
    rm -rf "$tree" "$OUT/sources.lock"
    mkdir -p "$tree"
    tar -C "$tree" -xzf "$1/$NAME-$VERSION.tar.gz"
    logged vendor cargo vendor --locked --manifest-path "$tree/$NAME-$VERSION/Cargo.toml" "$tree/vendor" ||
        die "cargo could not collect the crates: see $TARGET/vendor.log"
    tar -C "$tree" --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 -cf - vendor | gzip -9n >"$1/$NAME-$VERSION-vendor.tar.gz"
    cksum <"$tree/$NAME-$VERSION/Cargo.lock" >"$OUT/sources.lock"
    rm -rf "$tree"
}

# ---- rpm --------------------------------------------------------------------

# build_rpm KIND SPEC
build_rpm() {
    local kind=$1 spec=$ROOT/$2 out=$OUT/$1 top=$OUT/$1/work options
    need_packages rpm:rpmbuild binutils:nm make:make
    rm -rf "$out"
    mkdir -p "$top/SOURCES"
    cp "$OUT/sources/"*.tar.gz "$top/SOURCES/"
    options=(--define "_topdir $top" --define "nginx_version $NGINX_VERSION")
    if [ "$kind" = rpm ]; then
        stand_in_for_devel >"$top/macros"
        [ -e /usr/lib/rpm/macros.d/macros.nginxmods ] || options+=(--load "$top/macros")
    else
        pack_nginx "$top/SOURCES/nginx-$NGINX_VERSION.tar.gz"
    fi
    # What it build-requires may be here under other names.
    [ -e /etc/redhat-release ] || options+=(--nodeps --define '_libdir /usr/lib64' --define 'debug_package %{nil}')

    say "packaging for nginx $NGINX_VERSION: $kind"
    if ! rpmbuild -bb "${options[@]}" "$spec" >"$out/log" 2>&1 </dev/null; then
        tail -n 20 "$out/log" >&2
        die "rpmbuild failed: see $out/log"
    fi
    find "$top/RPMS" -name '*.rpm' -exec mv -t "$out" {} +
    rm -rf "$top"
    find "$out" -name '*.rpm'
}

# The macros of nginx-mod-devel that the spec uses, for these sources.
stand_in_for_devel() {
    cat <<END_OF_MACROS
%_nginx_abiversion $NGINX_VERSION
%_vpath_builddir rpm-build
%nginx_moddir /usr/lib64/nginx/modules
%nginx_modconfdir /usr/share/nginx/modules
%nginx_modconfigure(:-:) \\
cp -a "$SOURCE" nginx-src \\
[ -f nginx-src/configure ] || cp nginx-src/auto/configure nginx-src/ \\
(cd nginx-src && ./configure --with-compat --add-dynamic-module="\$(realpath ..)" --builddir="\$(realpath ..)/%{_vpath_builddir}" %{**})
%nginx_modbuild make -C nginx-src modules
END_OF_MACROS
}

pack_nginx() {
    local tree=$OUT/nginx
    rm -rf "$tree"
    copy_nginx "$tree/nginx-$NGINX_VERSION"
    tar -C "$tree" -czf "$1" "nginx-$NGINX_VERSION"
    rm -rf "$tree"
}

# A checkout has the script under auto/, a release at the top.
copy_nginx() {
    mkdir -p "$1"
    cp -RL "$SOURCE/." "$1/"
    [ -f "$1/configure" ] || cp "$1/auto/configure" "$1/configure"
}

# ---- deb --------------------------------------------------------------------

build_deb() {
    local out=$OUT/nginx.org-deb work=$OUT/nginx.org-deb/work tree codename
    need_packages debhelper dpkg-dev:dpkg-buildpackage make:make
    rm -rf "$out"
    mkdir -p "$work"
    tar -C "$work" -xzf "$OUT/sources/$NAME-$VERSION.tar.gz"
    tree=$work/$NAME-$VERSION
    tar -C "$tree" -xzf "$OUT/sources/$NAME-$VERSION-vendor.tar.gz"
    mkdir -p "$tree/.cargo"
    printf '%s\n' '[source.crates-io]' 'replace-with = "vendored-sources"' '' \
        '[source.vendored-sources]' 'directory = "vendor"' >"$tree/.cargo/config.toml"
    copy_nginx "$tree/nginx"
    cp "$tree/debian/copyright" "$work/copyright"
    rm -rf "$tree/debian"
    cp -R "$tree/packaging/nginx.org/debian" "$tree/debian"
    mv "$work/copyright" "$tree/debian/"
    codename=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
    # With the words of Debian's own packages.
    sed "1s/.*/nginx-module-websocket ($NGINX_VERSION+$VERSION-1~$codename) $codename; urgency=medium/" \
        "$ROOT/debian/changelog" | sed '/^ -- /q' >"$tree/debian/changelog"

    say "packaging for nginx $NGINX_VERSION: nginx.org-deb"
    # -d: what it build-depends on may be here, but not from Debian's packages: the Rust.
    if ! (cd "$tree" && dpkg-buildpackage -d -b -us -uc) >"$out/log" 2>&1 </dev/null; then
        tail -n 20 "$out/log" >&2
        die "dpkg-buildpackage failed: see $out/log"
    fi
    mv "$work"/*.deb "$out/"
    rm -rf "$work"
    find "$out" -name '*.deb'
}

main "$@"
