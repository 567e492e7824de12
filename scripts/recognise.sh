# shellcheck shell=bash
# Which nginx is here, and what it says of a module. To be sourced after lib.sh.

# recognise [FILE]   asks FILE, or the nginx in PATH, and sets
#   NGINX     the program
#   VERSION   1.26.3
#   ORIGIN    whose it is: debian, ubuntu, nginx.org, rhel, alpine, plus or own
#   ABI       nginx-abi-1.26.3-1: what module packages of Debian and Ubuntu depend on, or nothing
#             where NGINX is not from such a package
#   COMPAT    yes, if it was built with --with-compat
#   MODULES   the directory of its modules, or nothing if it does not say
recognise() {
    local about product
    NGINX=$(command -v "${1:-nginx}") || die "${1:-nginx} is missing: install nginx first, or name its program with --nginx."
    about=$("$NGINX" -V 2>&1) || die "$NGINX does not run: $about"
    read -r product VERSION <<<"$(sed -n 's|^[A-Za-z]* version: \([^/]*\)/\([0-9.]*\).*|\1 \2|p' <<<"$about" | head -n 1)"
    [ -n "$VERSION" ] || die "$NGINX does not say which version of nginx it is: $(head -n 1 <<<"$about")"
    [ "$product" = nginx ] || die "this is $product $VERSION, which is made from nginx but is another program: the module is for nginx itself."
    # shellcheck disable=SC2034 # for the script that sources this
    if grep -q -e '--with-compat' <<<"$about"; then COMPAT=yes; else COMPAT=; fi
    MODULES=$(option modules-path "$about")
    [ -n "$MODULES" ] || MODULES=$(option prefix "$about" | sed 's|$|/modules|')
    find_origin "$about"
    say "nginx $VERSION${ABI:+ ($ABI)}, $(whose)"
}

# option NAME ABOUT   what was given to configure for --NAME.
option() { tr ' ' '\n' <<<"$2" | sed -n "s/^--$1=//p" | head -n 1; }

find_origin() {
    local provides
    provides=$(provided_by_nginx)
    # Debian's package may be there, and another nginx come first in PATH, even of the same version.
    ABI=
    [ -z "$(owner "$NGINX")" ] || ABI=$(grep -o "nginx-abi-$VERSION-[0-9]*" <<<"$provides" | head -n 1 || true)
    case "$1" in
        *'(nginx-plus-'*) ORIGIN=plus; return ;;
        *"nginx/$VERSION (Ubuntu)"*) ORIGIN=ubuntu; return ;;
    esac
    if [ -n "$ABI" ]; then
        ORIGIN=debian
    elif grep -qw "nginx-r$VERSION" <<<"$provides"; then
        ORIGIN=nginx.org
    elif grep -qF 'nginx(abi)' <<<"$provides"; then
        ORIGIN=rhel
    elif have apk && [ -n "$(owner "$NGINX")" ]; then
        ORIGIN=alpine
    else
        ORIGIN=own
    fi
}

# The names that the package provides whose nginx this is.
provided_by_nginx() {
    if have dpkg-query; then
        # shellcheck disable=SC2016 # dpkg-query's own placeholders
        dpkg-query -W -f '${db:Status-Status} ${Provides}\n' 'nginx*' 2>/dev/null | grep '^installed ' || true
    fi
    said rpm -qf --provides "$(readlink -f "$NGINX")" || true
    said apk info --provides nginx || true
}

# The package that a file is from, or nothing.
owner() {
    local file
    file=$(readlink -f "$1") || return 0
    said dpkg-query -S "$file" || said rpm -qf "$file" || said apk info --who-owns "$file" || true
}

# said COMMAND...   what it prints, if it succeeds: where no package owns a file, rpm says so on stdout, too.
said() {
    local answer
    answer=$("$@" 2>/dev/null) && printf '%s\n' "$answer"
}

whose() {
    case $ORIGIN in
        debian) echo "Debian's" ;;
        ubuntu) echo "Ubuntu's" ;;
        nginx.org) echo "nginx.org's$([ ! -e /docker-entrypoint.d ] || echo ', in a container')" ;;
        rhel) echo "of Fedora, RHEL or their kin" ;;
        alpine) echo "Alpine's" ;;
        plus) echo "NGINX Plus, on which the module has not been tried" ;;
        own) echo "from no package" ;;
    esac
}

# ---- what it says of a module -----------------------------------------------

# loads FILE   by a configuration of its own: what else is configured is not asked.
# If not, nginx's words are in REASON.
loads() {
    local try said loaded=''
    try=$(mktemp -d)
    printf '%s\n' "load_module \"$(readlink -f "$1")\";" "pid $try/pid;" 'events { }' 'http { websocket on; }' >"$try/nginx.conf"
    said=$("$NGINX" -t -c "$try/nginx.conf" 2>&1) && loaded=yes
    # shellcheck disable=SC2034
    REASON=$(emergency <<<"$said" | sed "s| in $try/.*||")
    rm -rf "$try"
    [ -n "$loaded" ]
}

# What is fatal in what nginx printed. It stands there once or twice, as its log may be stderr, too.
emergency() { sed -n -E 's~^(nginx:|[0-9/]+ [0-9:]+) \[emerg\] ([0-9]+#[0-9]+: )?~~p' | head -n 1; }

# advice REASON   what to do about that, as in docs/packages.md.
advice() {
    case $1 in
        *' version '*' instead of '*) echo "take or build the file that is for nginx $VERSION" ;;
        *'is not binary compatible'*) echo "build it from sources that are configured with the options of nginx -V" ;;
        *'undefined symbol'* | *'symbol not found'*) echo "this nginx was built without something that the module needs: take one that has HTTP with TLS and regular expressions" ;;
        *'headers of another nginx'*) echo "build it with the headers or the sources of the package that brought this nginx: versions alone don't tell" ;;
        *'is already loaded'*) echo "this nginx has the module compiled in, and needs no file" ;;
        *) echo "docs/packages.md has the messages that are known" ;;
    esac
}
