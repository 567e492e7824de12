#!/usr/bin/env bash
# Plays Autobahn's cases with and without nginx, and compares the verdicts.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

usage() {
    cat <<'END'
Usage: scripts/conformance.sh [CASE...]

Builds the module for the installed nginx and plays Autobahn's cases to a server, and
with a client, each directly and through nginx: plain and over TLS, as it is, with
limits and with Pings. Prints how many cases got which verdict, and fails where one differs
without a Ping that explains it. All 517 cases take an hour or more.

  CASE  only these: 9.1.1, or '12.*' for all that begin so
END
}

main() {
    case ${1:-} in
        -h | --help) usage; return ;;
        -*) usage >&2; exit 2 ;;
    esac
    local cases=all
    [ $# -eq 0 ] || cases=$(IFS=,; printf '%s' "$*")
    cd "$ROOT"
    mapfile -t FLAGS < <(cargo_flags)
    need_build_packages
    need_packages python3:python3
    mkdir -p "$INTEROP"
    prepare_python || die "Python's websockets could not be installed."
    prepare_kosoku || die "kosoku could not be installed."
    MODULE=$("$ROOT/scripts/build.sh" | tail -n 1)
    NGINX_TESTS_ROOT='' NGINX_TESTS_BINARY=$(command -v nginx) NGINX_TESTS_MODULE=$MODULE \
        NGINX_TESTS_INTEROP=$INTEROP NGINX_TESTS_CASES=$cases \
        cargo test "${FLAGS[@]}" -p nginx-tests --test conformance -- --nocapture
}

main "$@"
