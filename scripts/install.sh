#!/usr/bin/env bash
# Installs the module for the nginx of this machine, and says how to undo it.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

PACKAGE=libnginx-mod-http-websocket
PROGRAM=check-websocket

usage() {
    cat <<'END'
Usage: scripts/install.sh [--dry-run] [--nginx-source DIR]

Installs the module for the nginx that is installed here. In this order:

  1. a package in target/packages that fits this nginx (scripts/package.sh);
  2. for Debian's own nginx, a package that is built now, with the Rust that is
     here and what nginx-dev brings;
  3. for any other nginx, the module built from --nginx-source DIR, its sources of
     the same version, as a file in its module directory.

It starts no nginx and changes no configuration of yours. Debian's nginx, if it
runs, reloads itself when a module package comes or goes.

  --dry-run  says what it would do and does nothing
END
}

main() {
    local source=''
    DRY=
    while [ $# -gt 0 ]; do
        case $1 in
            --dry-run) DRY=yes ;;
            --nginx-source) [ $# -ge 2 ] || die "--nginx-source needs a directory."; source=$2; shift ;;
            --nginx-source=*) source=${1#*=} ;;
            -h | --help) usage; return ;;
            *) usage >&2; exit 2 ;;
        esac
        shift
    done
    if ! have dpkg-query || ! have apt-get; then die "this needs dpkg and apt-get. Elsewhere: scripts/build.sh builds the module, and nginx loads it with load_module."; fi
    have nginx || die "nginx is missing: install the package nginx first."
    [ -n "$DRY" ] || [ "$(id -u)" -eq 0 ] || die "only root can install: run this with sudo, or with --dry-run to see what it would do."

    find_nginx
    look_before
    if [ -n "$source" ]; then
        install_file "$source"
    elif [ -z "$ABI" ]; then
        die "this nginx ($VERSION) is not one of Debian's packages: give its sources, of the same version, with --nginx-source."
    else
        install_package
    fi
}

# The version, and the name under which Debian's nginx says what modules fit.
find_nginx() {
    local provides
    VERSION=$(nginx -v 2>&1 | sed -n 's|^nginx version: [^/]*/\([0-9.]*\).*|\1|p')
    # shellcheck disable=SC2016 # dpkg-query's own placeholders
    provides=$(dpkg-query -W -f '${db:Status-Status} ${Provides}\n' 'nginx*' 2>/dev/null | grep '^installed ' || true)
    ABI=$(grep -o 'nginx-abi-[0-9.]*-[0-9]*' <<<"$provides" | head -n 1 || true)
    # Debian's package may be there, and another nginx come first in PATH.
    case $ABI in
        "nginx-abi-$VERSION-"*) ;;
        *) ABI= ;;
    esac
    say "nginx $VERSION${ABI:+ ($ABI)}"
}

# ---- Debian's nginx ---------------------------------------------------------

install_package() {
    local package packages names=$PACKAGE
    package=$(find_package)
    if [ -n "$package" ]; then
        say "found a package that fits: $package"
    else
        say "no package for $ABI in target/packages: building one"
        build_package
        package=$BUILT
    fi
    packages=("$package")
    # The one that is made along with it.
    if [ -f "${package/"$PACKAGE"_/"$PROGRAM"_}" ]; then
        packages+=("${package/"$PACKAGE"_/"$PROGRAM"_}")
        names="$PACKAGE $PROGRAM"
    fi
    run apt-get install -y --no-install-recommends --reinstall "${packages[@]}"
    # dpkg goes on where one of them is gone already; apt-get doesn't.
    finish_package "$names" "dpkg --purge $names"
}

# The package for this nginx and this processor: of the version of this tree, and of several
# revisions the highest. Which file is newer says only when it was copied.
find_package() {
    local package found='' best='' version tree architecture
    architecture=$(dpkg --print-architecture)
    tree=$(sed -n '1s/.*(\(.*\)).*/\1/p' "$ROOT/debian/changelog")
    for package in "$TARGET"/packages/*/"${PACKAGE}"_*_"$architecture".deb; do
        [ -f "$package" ] || continue
        dpkg-deb -f "$package" Depends | grep -qwF -- "$ABI" || continue
        version=$(dpkg-deb -f "$package" Version)
        case $version in
            "$tree" | "$tree"[~+]*) ;;
            *) say "left out, as this tree is version $tree: $package ($version)"; continue ;;
        esac
        if [ -z "$best" ] || dpkg --compare-versions "$version" gt "$best"; then
            found=$package best=$version
        fi
    done
    printf '%s\n' "$found"
}

build_package() {
    local work=$TARGET/packages/work out=$TARGET/packages/local
    BUILT=$out/${PACKAGE}_VERSION.deb
    if [ -n "$DRY" ]; then
        run "$ROOT/scripts/build.sh"
        run dpkg-buildpackage -b -us -uc
        return
    fi
    need_build_packages
    need_packages debhelper dpkg-dev:dpkg-buildpackage
    rm -rf "$out"
    mkdir -p "$out"
    prepare_package "$work"
    # -d: what it would build-depend on beyond that is the Rust that has done its work.
    (cd "$work/source" && PREBUILT=$work/prebuilt dpkg-buildpackage -d -b -us -uc -P"$PREBUILT_PROFILE") >"$out/log" 2>&1 </dev/null || {
        tail -n 20 "$out/log" >&2
        die "could not build the package: see $out/log"
    }
    mv "$work"/*.deb "$out/"
    rm -rf "$work"
    BUILT=$(find_package)
    [ -n "$BUILT" ] || die "the package that was built is not for $ABI: is nginx-dev of the same version as nginx?"
}

# ---- another nginx ----------------------------------------------------------

install_file() {
    local module='MODULE' directory version
    directory=$(nginx -V 2>&1 | tr ' ' '\n' | sed -n 's/^--modules-path=//p')
    [ -n "$directory" ] || die "this nginx does not say where its modules are (nginx -V has no --modules-path): build the module with scripts/build.sh and load it by its full path."
    version=$(version_in_header "$(find_given_source "$1")")
    [ "$version" = "$VERSION" ] || die "these are the sources of nginx $version, but nginx $VERSION is installed."
    if [ -n "$DRY" ]; then
        run "$ROOT/scripts/build.sh" --nginx-source "$1"
    else
        module=$("$ROOT/scripts/build.sh" --nginx-source "$1" | tail -n 1)
    fi
    # A new file in place of the old one: a running nginx keeps the one it has.
    run install -D -m 644 "$module" "$directory/$MODULE_FILE.new"
    run mv "$directory/$MODULE_FILE.new" "$directory/$MODULE_FILE"
    finish "put the module into $directory; nginx loads it with this line at the top of its configuration: load_module $directory/$MODULE_FILE;" \
        "remove that line, reload nginx, and: rm -f $directory/$MODULE_FILE"
}

# ---- saying and doing -------------------------------------------------------

run() {
    if [ -n "$DRY" ]; then
        say "would run: $*"
    else
        say "running: $*"
        "$@" >&2 </dev/null
    fi
}

# Whether nginx takes its configuration as it is: what was broken before is not the module's doing.
look_before() {
    TAKEN=yes
    [ "$(id -u)" -eq 0 ] || return 0
    nginx -t -q 2>/dev/null || TAKEN=
    [ -n "$TAKEN" ] || say "nginx -t already fails, without the module:" "$(nginx -t 2>&1 | grep '\[emerg\]' || true)"
}

# What nginx does with the module now, by its own words.
finish_package() {
    local names=$1 undo=$2 wrong all
    if [ -n "$DRY" ]; then
        finish "installed $names" "$undo"
        return
    fi
    if ! nginx -t -q 2>/dev/null; then
        wrong=$(nginx -t 2>&1 | grep '\[emerg\]' || true)
        [ -z "$TAKEN" ] || die "nginx -t fails with the module, and did not before: $wrong; to undo it: $undo"
        finish "installed $names; nginx -t fails as it did before: $wrong" "$undo"
        return
    fi
    all=$(nginx -T 2>/dev/null)
    if grep -q "^[[:space:]]*load_module[[:space:]].*$MODULE_FILE" <<<"$all"; then
        finish "installed $names: nginx loads the module from now on" "$undo"
    else
        finish "installed $names, but nginx does not load the module: its configuration does not include $(unloaded)" "$undo"
    fi
}

# Debian's nginx.conf includes modules-enabled; another one may not, and the link may be gone.
unloaded() {
    local link=/etc/nginx/modules-enabled/50-mod-http-websocket.conf
    if [ -e "$link" ]; then
        printf '%s; write this line at its top: include /etc/nginx/modules-enabled/*.conf;' "$link"
    else
        printf '%s, which was taken away; put it back with: ln -s /usr/share/nginx/modules-available/mod-http-websocket.conf %s' "$link" "$link"
    fi
}

finish() {
    if [ -n "$DRY" ]; then
        say "" "Nothing was done. It would have $1." "To undo it afterwards: $2"
    else
        say "" "Done: $1." "Next: write \"websocket on;\" into a location that proxies, then: nginx -t && nginx -s reload" "To undo it: $2"
    fi
}

main "$@"
