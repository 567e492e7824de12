#!/usr/bin/env bash
# Makes minimal Debian roots under target/roots, each with the nginx of its
# release, so that the module can be tested on other nginx versions than the
# installed one. They are kept: a second run has nothing to do.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

ROOTS=$TARGET/roots

usage() {
    cat <<'END'
Usage: scripts/roots.sh RELEASE...

For each Debian release (trixie, forky, ...) makes
  target/roots/RELEASE       a minimal system with that release's nginx
  target/roots/RELEASE-dev   its nginx-dev, unpacked: for build.sh --nginx-source
and prints the release and its nginx version. Needs root. To make one afresh,
remove target/roots/RELEASE.ready. The packages come from where apt gets its own;
DEBIAN_MIRROR=URL names another place.
END
}

main() {
    local release
    case ${1:-} in
        '') usage >&2; exit 2 ;;
        -h | --help) usage; return ;;
    esac
    [ "$(id -u)" -eq 0 ] || die "only root can make another Debian system with debootstrap and run nginx in it: run this as root."
    need_packages debootstrap
    for release in "$@"; do
        make_root "$release"
        printf '%s nginx %s\n' "$release" "$(cat "$ROOTS/$release.ready")"
    done
}

make_root() {
    local release=$1 root=$ROOTS/$1 log=$ROOTS/$1.log status=0
    [ ! -s "$ROOTS/$release.ready" ] || return 0
    remove_root "$root"
    mkdir -p "$ROOTS"
    say "making a root for Debian $release"
    # Not as the condition of an `if`: bash would go on after the first failure.
    set +e
    (set -e; bootstrap "$release" "$root"; add_nginx "$root") >"$log" 2>&1 </dev/null
    status=$?
    set -e
    if [ "$status" -ne 0 ]; then
        tail -n 5 "$log" >&2
        die "could not make a root for Debian $release: see $log"
    fi
    # Written last: without it the root counts as incomplete.
    version_in_header "$root-dev/usr/share/nginx/src" >"$ROOTS/$release.new"
    mv "$ROOTS/$release.new" "$ROOTS/$release.ready"
}

# What a broken-off run left, but never through something mounted inside it.
remove_root() {
    local mounted
    while read -r _ mounted _; do
        case $mounted in
            "$1"/*) umount "$mounted" || die "$mounted is still mounted." ;;
        esac
    done < <(sort -r -k 2,2 /proc/mounts)
    rm -rf --one-file-system "$1" "$1-dev" "$1.ready"
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

in_root() {
    local root=$1
    shift
    env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C DEBIAN_FRONTEND=noninteractive chroot "$root" "$@"
}

# Where apt gets Debian's main archive from, however its sources are written.
mirror() {
    local uri=${DEBIAN_MIRROR:-}
    [ -n "$uri" ] || uri=$(mirror_of_apt)
    if [ -z "$uri" ]; then
        apt-get update >&2
        uri=$(mirror_of_apt)
    fi
    [ -n "$uri" ] || die "apt names no Debian archive: set DEBIAN_MIRROR to the URL of one."
    printf '%s\n' "$uri"
}

mirror_of_apt() {
    # shellcheck disable=SC2016 # apt-get's own placeholder
    apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Label: Debian' | sed -n 1p
}

main "$@"
