#!/usr/bin/env bash
# The version of this tree, which is written in more places than one.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

usage() {
    cat <<'END'
Usage: scripts/version.sh [VERSION | --set VERSION]

Prints the version of this tree, if every place where it stands says the same, and
VERSION, if that is given. Else it says which place does not.

  --set  writes VERSION into every place but the changelogs, which are for people
         to write
END
}

# A file, and a sed expression for a whole line of it, whose group is the version.
PLACES=(
    'Cargo.toml' '^version = "\([^"]*\)"$'
    'debian/changelog' '^libnginx-mod-http-websocket (\([^)]*\)) .*$'
    'packaging/rpm/nginx-mod-http-websocket.spec' '^Version:  *\(.*\)$'
    'packaging/nginx.org/nginx-module-websocket.spec' '^Version:  *%{nginx_version}+\(.*\)$'
    'packaging/nginx.org/nginx-module-websocket.spec' '^.*ngx_http_websocket_module-\([0-9.]*[0-9]\).*$'
    'packaging/alpine/APKBUILD' '^pkgver=\(.*\)$'
    'docs/packages.md' '^.*libnginx-mod-http-websocket_\([0-9.]*\)~deb12_amd64.deb.*$'
    'docs/check-websocket.md' '^.*`check-websocket/\([0-9.]*[0-9]\).*$'
)

main() {
    case ${1:-} in
        -h | --help) usage; return ;;
        --set) [ $# -eq 2 ] || { usage >&2; exit 2; }; check_form "$2"; write "$2"; return ;;
        -*) usage >&2; exit 2 ;;
    esac
    [ $# -eq 0 ] || check_form "$1"
    VERSION=${1:-$(found_in Cargo.toml "${PLACES[1]}" | head -n 1)}
    WRONG=
    compare_places
    compare_lock
    [ -z "$WRONG" ] || die "not every place says $VERSION."
    printf '%s\n' "$VERSION"
}

check_form() {
    [[ $1 =~ ^[0-9]+\.[0-9]+\.[0-9]+$ ]] || die "\"$1\" is no version: three numbers, such as 0.1.0."
}

compare_places() {
    local i found
    for ((i = 0; i < ${#PLACES[@]}; i += 2)); do
        found=$(found_in "${PLACES[i]}" "${PLACES[i + 1]}" | sort -u)
        [ "$found" = "$VERSION" ] || wrong "${PLACES[i]}" "${found:-nothing}"
    done
}

wrong() {
    say "$1 says ${2//$'\n'/, }, not $VERSION."
    WRONG=yes
}

# found_in FILE EXPRESSION   of a changelog, in what comes first.
found_in() {
    local lines='1,$'
    case $1 in
        */changelog) lines=1 ;;
    esac
    sed -n "$lines s|$2|\1|p" "$ROOT/$1"
}

# The crates of the workspace have no source in Cargo.lock.
compare_lock() {
    local lock name version
    for lock in Cargo.lock fuzz/Cargo.lock; do
        while read -r name version; do
            [ "$version" = "$VERSION" ] || wrong "$lock" "$name $version"
        done < <(own_crates "$ROOT/$lock")
    done
}

# The fuzz targets are no part of a release.
own_crates() {
    awk 'BEGIN { RS = "" } /^\[\[package\]\]/ && !/\nsource = / {
        match($0, /name = "[^"]*"/); name = substr($0, RSTART + 8, RLENGTH - 9)
        match($0, /version = "[^"]*"/); print name, substr($0, RSTART + 11, RLENGTH - 12) }' "$1" |
        grep -v -e '-fuzz '
}

write() {
    local i file found
    for ((i = 0; i < ${#PLACES[@]}; i += 2)); do
        file=${PLACES[i]}
        case $file in
            */changelog) continue ;;
        esac
        for found in $(found_in "$file" "${PLACES[i + 1]}" | sort -u); do
            # Only where it stands for this: other numbers may look like it.
            sed -i "\\|${PLACES[i + 1]}| s/${found//./\\.}/$1/g" "$ROOT/$file"
        done
    done
    for file in "$ROOT" "$ROOT/fuzz"; do
        (cd "$file" && cargo update --quiet --workspace --offline)
    done
    say "now write debian/changelog and CHANGELOG.md."
}

main "$@"
