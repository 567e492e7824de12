#!/usr/bin/env bash
# Takes the packages that are not Debian's through installing and removing, in a copy of a Debian root.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

RELEASE=bookworm

usage() {
    cat <<'END'
Usage: scripts/test-packages-others.sh --nginx PROGRAM KIND...

Tests the packages that scripts/package-others.sh has left in target/packages/KIND
(rpm, nginx.org-rpm, nginx.org-deb), with PROGRAM for nginx: one that is built from
the sources that they were built for, and for this machine's libraries. In a copy
of target/roots/bookworm, PROGRAM is packed as a package that provides what the
real one provides, in its own version and in another.

  with no nginx, or one of another version, the package can't be installed;
  with the right one it can, and nginx loads the module and knows its directives;
  removed, it leaves nothing.

Needs root. Starts nothing that listens.
END
}

main() {
    local nginx=''
    while [ $# -gt 0 ]; do
        case $1 in
            --nginx) [ $# -ge 2 ] || die "--nginx needs a program."; nginx=$2; shift ;;
            -h | --help) usage; return ;;
            -*) usage >&2; exit 2 ;;
            *) break ;;
        esac
        shift
    done
    if [ -z "$nginx" ] || [ $# -eq 0 ]; then usage >&2; exit 2; fi
    [ "$(id -u)" -eq 0 ] || die "only root can install packages in another root: run this as root."
    need_packages rpm:rpmbuild
    NGINX=$nginx
    VERSION=$("$nginx" -v 2>&1 | sed -n 's|^nginx version: nginx/\([0-9.]*\).*|\1|p')
    "$ROOT/scripts/roots.sh" $RELEASE >&2
    COPY=$TARGET/others-root
    trap 'remove_root "$COPY"' EXIT
    local kind
    for kind in "$@"; do
        remove_root "$COPY"
        copy_root "$ROOTS/$RELEASE" "$COPY"
        mkdir -p "$COPY/packages"
        case $kind in
            rpm) try_rpm rpm nginx-mod-http-websocket 'nginx(abi) =' 'nginx(abi) = VERSION' /usr/share/nginx/modules/mod-http-websocket.conf ;;
            nginx.org-rpm) try_rpm nginx.org-rpm nginx-module-websocket nginx-r nginx-rVERSION '' ;;
            nginx.org-deb) try_deb ;;
            *) die "\"$kind\" is none of: rpm, nginx.org-rpm, nginx.org-deb." ;;
        esac
        say "$kind: works with nginx $VERSION"
    done
}

# ---- rpm --------------------------------------------------------------------

# try_rpm KIND NAME WANTED PROVIDES CONF   WANTED: how rpm begins what is missing. CONF: the file that
# loads the module, or nothing if that is for people to write.
try_rpm() {
    local package=("$TARGET/packages/$1/$2"-*.rpm) module=/usr/lib64/nginx/modules/$MODULE_FILE
    [ -f "${package[0]}" ] || die "no package in target/packages/$1: run scripts/package-others.sh first."
    # Debian's nginx has a link there, rpm's a directory.
    [ ! -L "$COPY/usr/share/nginx/modules" ] || rm "$COPY/usr/share/nginx/modules"
    quietly in_rpm --initdb
    ! in_rpm -i "${package[0]}" >"$COPY/log" 2>&1 || die "it is installed without an nginx."
    grep -qF "$3" "$COPY/log" || die "it does not say what it needs: $(cat "$COPY/log")"

    stand_in_rpm 1.1.1 "${4/VERSION/1.1.1}"
    ! in_rpm -i "${package[0]}" >"$COPY/log" 2>&1 || die "it is installed beside an nginx of another version."
    quietly in_rpm -e nginx-stand-in

    stand_in_rpm "$VERSION" "${4/VERSION/$VERSION}"
    quietly in_rpm -i "${package[0]}"
    nginx_knows "$module" "$5"
    quietly in_rpm -e "$2"
    nothing_left "$module" "$5"
}

# rpm knows nothing of Debian's packages, which are in this root: the stand-in provides what their
# shell and libc do.
in_rpm() { rpm --root "$COPY" --define '_dbpath /var/lib/rpm' "$@"; }

# stand_in_rpm VERSION PROVIDES   an nginx that provides this.
stand_in_rpm() {
    local top=$COPY/stand-in
    rm -rf "$top"
    mkdir -p "$top"
    cat >"$top/nginx.spec" <<END
Name: nginx-stand-in
Version: $1
Release: 1
Summary: nginx
License: BSD-2-Clause
Provides: $2, /bin/sh, rtld(GNU_HASH)
AutoReqProv: no
%description
nginx
%install
install -D -m 755 "$NGINX" %{buildroot}/usr/lib64/nginx/nginx
%files
/usr/lib64/nginx/nginx
END
    quietly rpmbuild -bb --define "_topdir $top" --define 'debug_package %{nil}' "$top/nginx.spec"
    quietly in_rpm -i --nodeps "$top"/RPMS/*/*.rpm
}

# ---- deb --------------------------------------------------------------------

try_deb() {
    local package=("$TARGET"/packages/nginx.org-deb/nginx-module-websocket_*.deb) module=/usr/lib/nginx/modules/$MODULE_FILE
    [ -f "${package[0]}" ] || die "no package in target/packages/nginx.org-deb: run scripts/package-others.sh first."
    cp "${package[0]}" "$COPY/packages/module.deb"
    ! in_root "$COPY" dpkg -i /packages/module.deb >"$COPY/log" 2>&1 </dev/null || die "it is installed without nginx.org's nginx."
    grep -q "depends on nginx-r$VERSION" "$COPY/log" || die "it does not say what it needs: $(cat "$COPY/log")"
    quietly in_root "$COPY" dpkg --purge nginx-module-websocket

    stand_in_deb 1.1.1
    ! in_root "$COPY" dpkg -i /packages/module.deb >"$COPY/log" 2>&1 </dev/null || die "it is installed beside an nginx of another version."
    quietly in_root "$COPY" dpkg --purge nginx-module-websocket nginx-stand-in

    stand_in_deb "$VERSION"
    quietly in_root "$COPY" dpkg -i /packages/module.deb
    nginx_knows "$module" ''
    quietly in_root "$COPY" dpkg --purge nginx-module-websocket
    nothing_left "$module" ''
}

stand_in_deb() {
    local tree=$COPY/stand-in
    rm -rf "$tree"
    install -D -m 755 "$NGINX" "$tree/usr/lib64/nginx/nginx"
    mkdir -p "$tree/DEBIAN"
    printf '%s\n' 'Package: nginx-stand-in' "Version: $1" "Architecture: $(dpkg --print-architecture)" \
        'Maintainer: a <a@a.example>' "Provides: nginx-r$1" 'Description: nginx' >"$tree/DEBIAN/control"
    quietly dpkg-deb --build --root-owner-group "$tree" "$COPY/packages/nginx.deb"
    quietly in_root "$COPY" dpkg -i /packages/nginx.deb
}

# ---- what is to be seen -----------------------------------------------------

# nginx_knows MODULE CONF
nginx_knows() {
    local load="load_module $1;"
    [ -f "$COPY$1" ] || die "there is no $1."
    [ -z "$2" ] || load="include $2;"
    mkdir -p "$COPY/try"
    printf '%s\n' "$load" 'pid /try/pid;' 'error_log stderr;' 'events { }' 'http { websocket on; }' >"$COPY/try/nginx.conf"
    quietly in_root "$COPY" /usr/lib64/nginx/nginx -t -p /try -c /try/nginx.conf
}

nothing_left() {
    [ ! -e "$COPY$1" ] || die "the package was removed, but $1 is left."
    [ -z "$2" ] || [ ! -e "$COPY$2" ] || die "the package was removed, but $2 is left."
}

quietly() { "$@" >"$COPY/log" 2>&1 </dev/null || die "failed: $*: $(tail -n 5 "$COPY/log")"; }

main "$@"
