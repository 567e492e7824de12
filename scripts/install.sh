#!/usr/bin/env bash
# Installs the module for the nginx of this machine, and undoes it.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source-path=SCRIPTDIR source=recognise.sh
. "$(dirname "${BASH_SOURCE[0]}")/recognise.sh"

PACKAGE=libnginx-mod-http-websocket
PROGRAM=check-websocket
LINK=/etc/nginx/modules-enabled/50-mod-http-websocket.conf
# The first line of a file that this script has written.
MARK='# Written by scripts/install.sh, which takes it away with --undo.'

usage() {
    cat <<'END'
Usage: scripts/install.sh [--dry-run] [--nginx FILE] [--module FILE | --nginx-source DIR]
       scripts/install.sh [--dry-run] [--nginx FILE] --undo

Installs the module for the nginx that is installed here. It asks nginx -V which
one that is, and takes, in this order:

  1. the file, or a file built from the sources, that you name;
  2. for an nginx of Debian or Ubuntu, a package in target/packages that fits it
     (scripts/package.sh), or one that is built now, with the Rust that is here
     and what nginx-dev brings;
  3. for any other nginx, one that is built now from its sources, if a package
     of its own distribution has brought them, or the file in target/dist that
     is for it (scripts/release.sh).

nginx has to load the file before anything is installed, and to take its own
configuration afterwards: else all is as it was, and you are told why. No nginx
is started. Debian's, if it runs, reloads itself when a module package comes or
goes. No file of yours is changed.

  --nginx FILE        this nginx, instead of the one in PATH
  --module FILE       this file
  --nginx-source DIR  a file that is built from these sources, of the same version
  --undo              takes away what was installed, unless nginx needs it
  --dry-run           says what it would do and does nothing
END
}

main() {
    local source='' module='' nginx='' undo=''
    DRY=
    while [ $# -gt 0 ]; do
        case $1 in
            --dry-run) DRY=yes ;;
            --undo) undo=yes ;;
            --nginx | --module | --nginx-source) [ $# -ge 2 ] || die "$1 needs a path." ;;&
            --nginx) nginx=$2; shift ;;
            --module) module=$2; shift ;;
            --nginx-source) source=$2; shift ;;
            --nginx=*) nginx=${1#*=} ;;
            --module=*) module=${1#*=} ;;
            --nginx-source=*) source=${1#*=} ;;
            -h | --help) usage; return ;;
            *) usage >&2; exit 2 ;;
        esac
        shift
    done
    UNDO="$0 --undo${nginx:+ --nginx $(printf %q "$nginx")}"
    recognise "$nginx"
    [ -n "$DRY" ] || [ "$(id -u)" -eq 0 ] || die "only root can install: run this with sudo, or with --dry-run to see what it would do."
    FILE=${MODULES:+$MODULES/$MODULE_FILE}

    look_before
    if [ -n "$undo" ]; then
        undo
    elif [ -n "$module" ]; then
        install_file "$module"
    elif [ -n "$source" ]; then
        build_file "$source"
        install_file "$BUILT"
    elif [ -n "$ABI" ]; then
        install_package
    else
        find_file
        install_file "$BUILT"
    fi
}

# Whether nginx takes its configuration as it is: what was broken before is not the module's doing.
look_before() {
    TAKEN=yes
    [ "$(id -u)" -eq 0 ] || return 0
    if ! takes_configuration; then
        TAKEN=
        WRONG=$(complaint)
        say "nginx -t already fails: $WRONG"
    fi
}

# still_wrong REASON   how nginx -t fails where it had failed before.
still_wrong() {
    if [ "$1" = "$WRONG" ]; then
        echo "nginx -t fails as it did before: $1"
    else
        echo "nginx -t failed before, and now fails for another reason: $1"
    fi
}

takes_configuration() { "$NGINX" -t -q 2>/dev/null; }
complaint() { { "$NGINX" -t 2>&1 || true; } | emergency; }
loads_module() { grep -q "^[[:space:]]*load_module[[:space:]].*$MODULE_FILE" <<<"$("$NGINX" -T 2>/dev/null || true)"; }

# ---- a package, for the nginx of Debian and Ubuntu --------------------------

install_package() {
    local package packages names=$PACKAGE new=$PACKAGE before=''
    ! is_installed "$PACKAGE" || before=yes
    [ -n "$before" ] || refuse_beside_own
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
        is_installed "$PROGRAM" || new=$names
    fi
    run apt-get install -y --no-install-recommends --reinstall "${packages[@]}"
    # dpkg goes on where one of them is gone already; apt-get doesn't.
    finish_package "$names" "dpkg --purge $new" "$before"
}

# dpkg puts its file over one that was installed by hand, which would be gone with the package.
refuse_beside_own() {
    local next="and run this again (until then a running nginx goes on as it is); or replace that file with --module FILE"
    if [ -n "$FILE" ] && [ -e "$FILE" ] && [ -z "$(owner "$FILE")" ]; then
        ! is_ours || die "$FILE is there, and this script has put it there: replace it with --module FILE, or take it away first: $UNDO"
        die "$FILE is there, and no package has brought it: this one would take its place. Move it away, take out the line that loads it, $next."
    fi
    ! loads_module || die "nginx loads the module already, and not from the package $PACKAGE, which brings a line of its own. Take out the load_module that nginx -T shows, $next."
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
    give_back "$TARGET/packages"
    BUILT=$(find_package)
    [ -n "$BUILT" ] || die "the package that was built is not for $ABI: is nginx-dev of the same version as nginx?"
}

# finish_package NAMES UNDO BEFORE   what nginx does with the module now, by its own words.
finish_package() {
    local names=$1 undo=$2 before=$3 wrong
    if [ -n "$DRY" ]; then
        finish "installed $names" "$undo"
    elif ! takes_configuration; then
        wrong=$(complaint)
        if [ -z "$TAKEN" ]; then
            finish "installed $names; $(still_wrong "$wrong")" "$undo"
            return
        fi
        [ -z "$before" ] || die "nginx -t fails with this version of the package, and did not with the one before: $wrong; to take it away: $undo"
        # shellcheck disable=SC2086 # a command line
        run $undo
        die "nginx -t failed with the module, and did not before, so the package was taken away again: $wrong"
    elif loads_module; then
        finish "installed $names: nginx loads the module from now on" "$undo"
    else
        finish "installed $names, but nginx does not load the module: its configuration does not include $(unloaded)" "$undo"
    fi
}

# Debian's nginx.conf includes modules-enabled; another one may not, and the link may be gone.
unloaded() {
    if [ -e "$LINK" ]; then
        printf '%s; write this line at its top: include /etc/nginx/modules-enabled/*.conf;' "$LINK"
    else
        printf '%s, which was taken away; put it back with: ln -s /usr/share/nginx/modules-available/mod-http-websocket.conf %s' "$LINK" "$LINK"
    fi
}

# ---- a file, for any other nginx --------------------------------------------

# Sets BUILT: one that is built from sources that its own distribution has brought, as that may have changed
# them, or the file of a release. No other's sources: they may be of the same version and not be the same.
find_file() {
    local file source
    for source in $(own_sources); do
        if [ -f "$source/src/core/nginx.h" ] && [ "$(version_in_header "$source")" = "$VERSION" ]; then
            build_file "$source"
            return
        fi
    done
    for file in "$TARGET"/dist/*/ngx_http_websocket_module-*-nginx-"$VERSION"-"$(uname -m)".so; do
        [ -f "$file" ] || continue
        say "found a file for it: $file"
        BUILT=$file
        return
    done
    die "there is no file for nginx $VERSION in target/dist, and no package has brought its sources: give them with --nginx-source DIR, or a file with --module FILE."
}

# nginx-dev of Ubuntu, nginx-mod-devel of Fedora and RHEL.
own_sources() {
    case $ORIGIN in
        ubuntu) echo /usr/share/nginx/src ;;
        rhel) compgen -G "/usr/src/nginx-$VERSION-*" || true ;;
    esac
}

# build_file SOURCE   sets BUILT.
build_file() {
    local version source
    source=$(find_given_source "$1")
    version=$(version_in_header "$source")
    [ "$version" = "$VERSION" ] || die "these are the sources of nginx $version, but nginx $VERSION is installed."
    [ -n "$COMPAT" ] || say "this nginx was built without --with-compat: building with its own options"
    BUILT=
    if [ -n "$DRY" ]; then
        run "$ROOT/scripts/build.sh" --nginx-source "$source"
        return
    fi
    [ -n "$COMPAT" ] || source=$(configured_alike "$source")
    BUILT=$("$ROOT/scripts/build.sh" --nginx-source "$source" | tail -n 1)
}

# Without --with-compat a module has to be built with all that nginx was built with, but for other
# modules, libraries in directories of whoever built it, and what only concerns compilers. lib.sh reads
# it from conf_flags.
configured_alike() {
    local copy=$TARGET/nginx-$VERSION/alike
    rm -rf "$copy"
    mkdir -p "$copy"
    cp -RL "$1/." "$copy/"
    rm -rf "$copy/objs"
    "$NGINX" -V 2>&1 | sed -n 's/^configure arguments: //p' | only_what_matters | sed 's/.*/NGX_CONF_FLAGS=(&)/' >"$copy/conf_flags"
    printf '%s\n' "$copy"
}

only_what_matters() {
    sed -E "s/--(with-(cc|ld|pcre|zlib|openssl)-opt|add-module|add-dynamic-module|with-(pcre|zlib|openssl))=('[^']*'|[^ ]*)//g; s/--with-[a-z0-9_]*=dynamic//g"
}

# install_file FILE   no name in a dry run, of what would be built.
install_file() {
    local file=$1 package
    [ -n "$FILE" ] || die "this nginx does not say where its modules are: load the module by its full path."
    package=$(owner "$FILE")
    [ -z "$package" ] || die "$FILE is from a package ($package): install a newer one, or remove it first."
    if [ -n "$file" ]; then
        [ -f "$file" ] || die "$file: no such file."
        loads "$file" || die "nginx does not load $file: $REASON: $(advice "$REASON")."
        say "nginx loads $file"
    fi
    CONF=$(find_conf)
    if [ -n "$CONF" ] && [ -e "$CONF" ] && ! is_marked "$CONF"; then die "$CONF is there, and not from this script: move it away first."; fi
    if [ -n "$DRY" ]; then
        finish "put the module at $FILE${CONF:+, and a line that loads it at $CONF}" "$UNDO"
        return
    fi
    put_file "$file"
    if [ -n "$CONF" ] && [ -e "$CONF" ]; then mv "$CONF" "$CONF.old"; fi
    [ -z "$CONF" ] || printf '%s\n' "$MARK" "load_module \"$FILE\";" >"$CONF"
    finish_file
}

# By the custom of Debian, Fedora, RHEL and Alpine, nginx.conf includes a directory of files that load modules:
# a file in that one. Nothing if there is none, or the module is loaded already.
find_conf() {
    local directory
    if loads_module; then return; fi
    directory=$("$NGINX" -T 2>/dev/null | sed -n -E 's~^[[:space:]]*include[[:space:]]*"?(/[^;"]*/modules(-enabled)?)/\*\.conf"?;.*~\1~p' | head -n 1)
    [ -z "$directory" ] || printf '%s/mod-http-websocket.conf\n' "$directory"
}

is_marked() { grep -q -x -F -e "$MARK" "$1"; }

# Whether FILE is what this script has put there: $FILE.installed has its checksum, and the file that loads it.
is_ours() { [ -e "$FILE.installed" ] && [ "$(sed -n 2p "$FILE.installed")" = "$(cksum <"$FILE")" ]; }

# A new file in place of the old one: a running nginx keeps the one it has.
put_file() {
    OURS=
    mkdir -p "$MODULES"
    rm -f "$FILE.old"
    if [ -e "$FILE" ]; then
        ! is_ours || OURS=yes
        cp -p "$FILE" "$FILE.old"
    fi
    cp "$1" "$FILE.new"
    chmod 644 "$FILE.new"
    guard put_file_back
    mv "$FILE.new" "$FILE"
}

# As it was before put_file.
put_file_back() {
    rm -f "$FILE"
    [ ! -e "$FILE.old" ] || mv "$FILE.old" "$FILE"
    [ -z "$CONF" ] || rm -f "$CONF"
    if [ -n "$CONF" ] && [ -e "$CONF.old" ]; then mv "$CONF.old" "$CONF"; fi
}

finish_file() {
    local wrong=''
    takes_configuration || wrong=$(complaint)
    if [ -n "$TAKEN" ] && [ -n "$wrong" ]; then
        put_file_back
        unguard
        die "nginx -t failed with the module, and did not before, so all is as it was: $wrong"
    fi
    unguard
    remember
    if [ -n "$wrong" ]; then
        finish "put the module at $FILE${CONF:+, and a line that loads it at $CONF}; $(still_wrong "$wrong")" "$UNDO"
    elif [ -n "$CONF" ]; then
        finish "put the module at $FILE: nginx loads it from now on, by $CONF" "$UNDO"
    elif loads_module; then
        finish "put the module at $FILE, which nginx loads" "$UNDO"
    else
        finish "put the module at $FILE; nginx loads it with this line at the top of its configuration: load_module $FILE;" "$UNDO"
    fi
}

# For --undo. What this script had put there itself is nothing to come back to.
remember() {
    [ -z "$CONF" ] || rm -f "$CONF.old"
    if [ -n "$OURS" ]; then
        rm -f "$FILE.old"
    else
        rm -f "$FILE.before"
        [ ! -e "$FILE.old" ] || mv "$FILE.old" "$FILE.before"
    fi
    [ -n "$CONF" ] || CONF=$(recorded_conf)
    printf '%s\n' "$MARK" "$(cksum <"$FILE")" "$CONF" >"$FILE.installed"
}

# The file that loads it, by this script, if it still does.
recorded_conf() {
    local conf
    conf=$(sed -n 3p "$FILE.installed" 2>/dev/null) || true
    if [ -n "$conf" ] && [ -e "$conf" ] && is_marked "$conf"; then printf '%s\n' "$conf"; fi
}

# ---- undoing ----------------------------------------------------------------

undo() {
    BEFORE=
    # Another nginx may be here, too, and the package is not for that one.
    if [ -n "$ABI" ] && is_installed "$PACKAGE"; then
        try_without "$LINK" ${FILE:+"$FILE"}
        run dpkg --purge "$PACKAGE"
        [ -n "$DRY" ] || say "" "Done: $PACKAGE is gone."
        # It may have been here before, and needs no nginx.
        ! is_installed "$PROGRAM" || say "$PROGRAM stays. To take it away, too: dpkg --purge $PROGRAM"
        return
    fi
    if [ -z "$FILE" ] || [ ! -e "$FILE" ]; then die "nothing is to be undone: for $NGINX there is no package $PACKAGE, and no file ${FILE:-$MODULE_FILE}."; fi
    [ -z "$(owner "$FILE")" ] || die "$FILE is from a package ($(owner "$FILE")): remove that."
    is_ours || die "nothing is to be undone: $FILE is not what this script has put there."
    CONF=$(recorded_conf)
    [ ! -e "$FILE.before" ] || BEFORE=$FILE.before
    try_without "$FILE" ${CONF:+"$CONF"}
    if [ -n "$DRY" ]; then
        say "would take away $FILE${CONF:+ and $CONF}"
        return
    fi
    rm -f "$FILE" "$FILE.installed" ${CONF:+"$CONF"}
    if [ -n "$BEFORE" ]; then
        mv "$BEFORE" "$FILE"
        say "" "Done: $FILE is the one that was there before."
    else
        say "" "Done: $FILE is gone${CONF:+, and so is $CONF}."
    fi
}

# try_without FILE...   with these aside, and with what was there before, nginx has to take its configuration:
# else it would not start again, and they stay.
try_without() {
    local file wrong=''
    if [ -n "$DRY" ] || [ -z "$TAKEN" ] || [ "$(id -u)" -ne 0 ]; then return; fi
    ASIDE=("$@")
    guard put_back
    for file in "$@"; do
        [ ! -e "$file" ] || mv "$file" "$file.aside"
    done
    [ -z "$BEFORE" ] || cp -p "$BEFORE" "$FILE"
    takes_configuration || wrong=$(complaint)
    put_back
    unguard
    [ -n "$wrong" ] || return 0
    if [ -n "$BEFORE" ]; then
        die "nginx does not take its configuration with the file that was there before, so the module stays: $wrong; take out what uses it first, or remove $BEFORE to have none instead."
    fi
    die "nginx's configuration needs the module, so it stays: $wrong; take out what uses it first."
}

put_back() {
    local file
    for file in "${ASIDE[@]}"; do
        [ ! -e "$file.aside" ] || mv "$file.aside" "$file"
    done
}

# guard COMMAND   runs it if the script ends before unguard, by a signal too.
guard() {
    # shellcheck disable=SC2064 # a name
    trap "$1" EXIT
    trap 'exit 129' HUP
    trap 'exit 130' INT
    trap 'exit 143' TERM
}

unguard() { trap - EXIT HUP INT TERM; }

# ---- saying and doing -------------------------------------------------------

run() {
    if [ -n "$DRY" ]; then
        say "would run: $*"
    else
        say "running: $*"
        "$@" >&2 </dev/null
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
