#!/usr/bin/env bash
# Makes minimal Debian roots under target/roots, each with the nginx of its
# release, so that the module can be tested on other nginx versions than the
# installed one. They are kept: a second run has nothing to do.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# What builds Debian packages, with each release's own tools.
PACKAGING=(build-essential debhelper dpkg-dev nginx-dev lintian)

usage() {
    cat <<'END'
Usage: scripts/roots.sh [--build] RELEASE...

For each Debian release (bookworm, trixie, forky or sid) makes
  target/roots/RELEASE       a minimal system with that release's nginx
  target/roots/RELEASE-dev   its nginx-dev, unpacked: for build.sh --nginx-source
and prints the release and its nginx version. Needs root. To make one afresh,
remove target/roots/RELEASE.ready.

  --build  also makes target/roots/RELEASE-build: the same with what builds
           Debian packages, nginx-dev installed; afresh without
           target/roots/RELEASE-build.ready

The packages come from where apt gets its own;
DEBIAN_MIRROR=URL names another place.
END
}

main() {
    local release build=''
    while [ $# -gt 0 ]; do
        case $1 in
            --build) build=yes ;;
            -h | --help) usage; return ;;
            -*) usage >&2; exit 2 ;;
            *) break ;;
        esac
        shift
    done
    [ $# -gt 0 ] || { usage >&2; exit 2; }
    check_releases "$@"
    [ "$(id -u)" -eq 0 ] || die "only root can make another Debian system with debootstrap and run nginx in it: run this as root."
    need_packages debootstrap
    for release in "$@"; do
        make_root "$release"
        [ -z "$build" ] || make_build_root "$release"
        printf '%s nginx %s\n' "$release" "$(cat "$ROOTS/$release.ready")"
    done
}

make_root() {
    local release=$1 root=$ROOTS/$1
    [ ! -s "$root.ready" ] || return 0
    remove_root "$root"
    rm -rf "$root-dev" "$root.ready"
    attempt "a root for Debian $release" "$root" new_root "$release" "$root"
    # Written last: without it the root counts as incomplete.
    version_in_header "$root-dev/usr/share/nginx/src" >"$root.new"
    mv "$root.new" "$root.ready"
}

new_root() {
    bootstrap "$1" "$2"
    add_nginx "$2"
}

make_build_root() {
    local release=$1 root=$ROOTS/$1-build
    [ ! -s "$root.ready" ] || return 0
    remove_root "$root"
    rm -f "$root.ready"
    attempt "a root that builds packages for Debian $release" "$root" new_build_root "$ROOTS/$release" "$root"
    version_in_header "$root/usr/share/nginx/src" >"$root.new"
    mv "$root.new" "$root.ready"
}

new_build_root() {
    copy_root "$1" "$2"
    in_root "$2" apt-get update
    in_root "$2" apt-get install -y --no-install-recommends "${PACKAGING[@]}"
    in_root "$2" apt-get clean
}

# attempt WHAT ROOT COMMAND...
attempt() {
    local what=$1 log=$2.log status
    shift 2
    mkdir -p "$ROOTS"
    say "making $what"
    # Not as the condition of an `if`: bash would go on after the first failure.
    set +e
    (set -e; "$@") >"$log" 2>&1 </dev/null
    status=$?
    set -e
    if [ "$status" -ne 0 ]; then
        tail -n 5 "$log" >&2
        die "could not make $what: see $log"
    fi
}

bootstrap() {
    local release=$1 root=$2 script=/usr/share/debootstrap/scripts/$1 cert=/etc/ssl/certs/ca-certificates.crt
    # A debootstrap older than the release has no script of its name. They are
    # all the same one.
    [ -e "$script" ] || script=/usr/share/debootstrap/scripts/sid
    debootstrap --variant=minbase "$release" "$root" "$(mirror)" "$script"

    deny_services_in "$root"
    # As the host reaches its packages: proxies, certificates, names.
    apt-config dump | grep -i '^Acquire::\(http\|https\|ftp\|Retries\|Check-\)' >"$root/etc/apt/apt.conf.d/90host" || true
    mkdir -p "$root/etc/ssl/certs"
    [ ! -e $cert ] || cp -L $cert "$root$cert"
    cp -L /etc/resolv.conf /etc/hosts "$root/etc/"
}

deny_services_in() {
    printf '#!/bin/sh\nexit 101\n' >"$1/usr/sbin/policy-rc.d"
    chmod 755 "$1/usr/sbin/policy-rc.d"
}

add_nginx() {
    local root=$1
    in_root "$root" apt-get update
    in_root "$root" apt-get install -y --no-install-recommends nginx
    # Unpacked and not installed: of the whole tool chain that it depends on,
    # the host has what is needed.
    in_root "$root" sh -c 'cd /var/cache/apt/archives && apt-get -o APT::Sandbox::User=root download nginx-dev'
    mkdir -p "$root-dev"
    dpkg -x "$root"/var/cache/apt/archives/nginx-dev_*.deb "$root-dev"
    in_root "$root" apt-get clean
    rm -f "$root"/var/cache/apt/archives/nginx-dev_*.deb
}

# Where apt gets Debian's main archive from, however its sources are written.
mirror() {
    local uri=${DEBIAN_MIRROR:-}
    [ -n "$uri" ] || uri=$(mirror_of_apt)
    if [ -z "$uri" ]; then
        apt-get update >&2
        uri=$(mirror_of_apt)
    fi
    [ -n "$uri" ] || die "apt knows no Debian archive: set DEBIAN_MIRROR to the URL of one."
    printf '%s\n' "$uri"
}

mirror_of_apt() {
    # shellcheck disable=SC2016 # apt-get's own placeholder
    apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Label: Debian' | sed -n 1p
}

main "$@"
