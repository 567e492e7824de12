#!/usr/bin/env bash
# Takes the packages through their life on each Debian release: install, serve,
# upgrade with tunnels open, remove, purge.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

RELEASES=(bookworm trixie forky)
PACKAGE=libnginx-mod-http-websocket
LINK=etc/nginx/modules-enabled/50-mod-http-websocket.conf
# Tunnels have to be gone by then.
DRAIN=2

usage() {
    cat <<'END'
Usage: scripts/test-packages.sh [RELEASE...]

Tests the packages that scripts/package.sh has left in target/packages/RELEASE
(bookworm, trixie and forky, if none is named): in a copy of the release's root
with nothing but its nginx, installs them, starts that nginx with its own
nginx.conf and a site, passes a handshake, upgrades with tunnels open, removes
and purges. Needs root. Listens on 127.0.0.1 only.
END
}

main() {
    local release
    case ${1:-} in
        -h | --help) usage; return ;;
        -*) usage >&2; exit 2 ;;
    esac
    [ $# -gt 0 ] || set -- "${RELEASES[@]}"
    check_releases "$@"
    (cd "$ROOT" && cargo build --quiet -p nginx-tests --bin ws-echo --bin ws-try)
    BIN=${CARGO_TARGET_DIR:-$TARGET}/debug
    trap clean_up EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    for release in "$@"; do
        try_release "$release"
        say "$release: the packages work"
    done
}

# ---- what has to be ended ---------------------------------------------------

COPY=
NGINX_PID=
ECHO_PID=
TUNNEL_PIDS=()

clean_up() {
    local status=$? pid
    trap - EXIT INT TERM
    # A master ends its workers when it is told to; by SIGKILL it could not.
    for pid in "${TUNNEL_PIDS[@]}" $NGINX_PID $ECHO_PID; do
        kill "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
    if [ -n "$COPY" ]; then
        [ "$status" -eq 0 ] || tail -n 20 "$COPY/var/log/nginx/error.log" >&2 || true
        remove_root "$COPY"
    fi
    exit "$status"
}

# ---- the life of a package --------------------------------------------------

try_release() {
    local release=$1 packages=$TARGET/packages/$1
    compgen -G "$packages/${PACKAGE}_*.deb" >/dev/null || die "no package for Debian $release: run scripts/package.sh $release first."
    "$ROOT/scripts/roots.sh" "$release" >&2
    COPY=$ROOTS/$release-packages
    LOG=$COPY/tmp
    remove_root "$COPY"
    copy_root "$ROOTS/$release" "$COPY"
    mkdir -p "$COPY/packages"
    cp "$packages"/*.deb "$COPY/packages/"
    # It listens on every address of this machine, and perhaps someone else does.
    rm -f "$COPY/etc/nginx/sites-enabled/default"
    start_echo

    step 'scripts/install.sh' install_by_script
    step 'install' install
    step 'start nginx and pass a handshake' serve
    step 'upgrade with tunnels open' upgrade
    step 'remove' remove
    step 'purge' purge
    step 'remove what a file of the administrator loads' remove_under_own_file
    step 'end nginx' end_nginx
    end_of_release
}

step() {
    say "$release: $1"
    "$2"
}

# It must find the package, do nothing when told so, and be undone by what it says.
install_by_script() {
    local undo
    mkdir -p "$COPY/project/target/packages/here"
    mkdir -p "$COPY/project/debian"
    cp -r "$ROOT/scripts" "$COPY/project/"
    cp "$ROOT/debian/changelog" "$COPY/project/debian/"
    cp "$COPY"/packages/*.deb "$COPY/project/target/packages/here/"
    quietly /project/scripts/install.sh --dry-run
    [ ! -L "$COPY/$LINK" ] || die "the dry run installed something."
    quietly /project/scripts/install.sh
    [ -L "$COPY/$LINK" ] || die "scripts/install.sh installed the module, but it is not enabled."
    undo=$(sed -n 's/^To undo it: //p' "$LOG/packages")
    # shellcheck disable=SC2086 # a command line
    quietly ${undo/apt-get/apt-get -y}
    [ ! -L "$COPY/$LINK" ] || die "\"$undo\" left the module enabled."
    nginx_takes_configuration

    # Half of it is gone already, and then all.
    quietly /project/scripts/install.sh
    quietly dpkg --purge check-websocket
    # shellcheck disable=SC2086
    quietly $undo
    # shellcheck disable=SC2086
    quietly $undo
    nginx_takes_configuration

    # The link was taken away, the configuration was broken before, and what is newer is older.
    quietly /project/scripts/install.sh
    rm "$COPY/$LINK"
    quietly /project/scripts/install.sh
    grep -q '^Done: .*nginx does not load the module: .*which was taken away' "$LOG/packages" || die "it says that nginx loads what it doesn't: $(cat "$LOG/packages")"
    printf 'nonsense;\n' >"$COPY/etc/nginx/conf.d/broken.conf"
    in_root "$COPY" /project/scripts/install.sh >"$LOG/packages" 2>&1 </dev/null || true
    grep -q 'nginx -t fails as it did before: .*unknown directive "nonsense"' "$LOG/packages" || die "the module is blamed for what was broken before: $(cat "$LOG/packages")"
    rm "$COPY/etc/nginx/conf.d/broken.conf"
    # shellcheck disable=SC2086
    quietly $undo
    nginx_takes_configuration
}

install() {
    apt_install
    [ -L "$COPY/$LINK" ] || die "the module is not enabled: no $LINK."
    in_root "$COPY" dpkg -s $PACKAGE | grep -q '^Depends:.*nginx-abi-' || die "the package depends on no nginx ABI."
    nginx_takes_configuration
}

serve() {
    PORT=$(free_port)
    write_site 'websocket on;'
    nginx_takes_configuration
    start_nginx
    check_user
    try_echo
    quietly check-websocket "ws://127.0.0.1:$PORT/"
}

# dpkg puts a new file in place of the old one, so what a running nginx has
# loaded stays; the reload that Debian's nginx does then brings the new one.
upgrade() {
    open_tunnel stays /
    open_tunnel leaves /leaving/
    apt_install --reinstall
    say_in stays 'after the upgrade'
    say_in leaves 'after the upgrade'

    quietly nginx -s reload
    wait_until 'the tunnel to be drained' grep -q '^closed 1012' "$LOG/leaves"
    say_in stays 'after the reload'
    try_echo
}

# The admin takes the directives out, or nginx says which one it doesn't know;
# until a reload that succeeds, the running nginx goes on as it is.
remove() {
    remove_packages apt-get -y remove
    [ ! -L "$COPY/$LINK" ] || die "the package was removed, but the module is still enabled."
    say_in stays 'after the removal'
    try_echo
    ! nginx_test || die "nginx accepts a directive of a module that it doesn't load."
    grep -q 'unknown directive "websocket"' "$LOG/nginx-t" || die "nginx doesn't name the directive: $(cat "$LOG/nginx-t")"

    write_site ''
    nginx_takes_configuration
    quietly nginx -s reload
    wait_until 'the site without the module' no_tunnel
    say_in stays 'after a reload without the module'
}

purge() {
    # apt knows no package any more that it could download from nowhere.
    remove_packages dpkg --purge
    [ ! -L "$COPY/$LINK.removed" ] || die "the package was purged, but $LINK.removed is left."
    [ -z "$(find "$COPY/usr" "$COPY/etc" -path '*websocket*' ! -path '*/sites-*' -print -quit)" ] || die "the package was purged, but files are left."
    nginx_takes_configuration
}

# The package's link is gone with it; a file in its place is not, and must not be.
remove_under_own_file() {
    apt_install
    cp --remove-destination "$COPY/usr/share/nginx/modules-available/mod-http-websocket.conf" "$COPY/$LINK"
    nginx_takes_configuration
    remove_packages dpkg --purge
    grep -q "^/$LINK still loads ngx_http_websocket_module.so" "$LOG/packages" || die "nothing is said of the file that still loads the module: $(cat "$LOG/packages")"
    [ -f "$COPY/$LINK" ] || die "a file of the administrator was removed."
    ! nginx_test || die "nginx takes a configuration whose module is gone."
    rm "$COPY/$LINK"
    nginx_takes_configuration
}

end_nginx() {
    close_tunnel stays
    kill -QUIT "$NGINX_PID"
    wait "$NGINX_PID" || die "nginx ended with an error."
    NGINX_PID=
    ! grep -E '\[(alert|crit|emerg)\]|exited on signal' "$COPY/var/log/nginx/error.log" |
        grep -v 'unknown directive "websocket"' >&2 || die "nginx's error log has lines at alert, crit or emerg."
}

end_of_release() {
    kill "$ECHO_PID"
    wait "$ECHO_PID" 2>/dev/null || true
    ECHO_PID=
    TUNNEL_PIDS=()
    remove_root "$COPY"
    COPY=
}

# ---- apt --------------------------------------------------------------------

# All that the packages need comes with nginx.
apt_install() {
    # shellcheck disable=SC2016 # for the other shell
    quietly sh -c 'apt-get install -y --no-install-recommends "$@" /packages/*.deb' apt-get "$@"
}

remove_packages() {
    local names
    mapfile -t names < <(for file in "$COPY"/packages/*.deb; do dpkg-deb -f "$file" Package; done)
    quietly "$@" "${names[@]}"
}

quietly() { in_root "$COPY" "$@" >"$LOG/packages" 2>&1 </dev/null || { cat "$LOG/packages" >&2; die "$1 failed."; }; }

# ---- nginx ------------------------------------------------------------------

write_site() {
    cat >"$COPY/etc/nginx/sites-enabled/tunnels" <<END
server {
    listen 127.0.0.1:$PORT;
    $1

    location / {
        proxy_pass http://$ECHO_ADDRESS;
    }
    location /leaving/ {
        proxy_pass http://$ECHO_ADDRESS;
        ${1:+websocket_drain ${DRAIN}s;}
    }
}
END
}

nginx_test() { in_root "$COPY" nginx -t >"$LOG/nginx-t" 2>&1 </dev/null; }

nginx_takes_configuration() {
    nginx_test || { cat "$LOG/nginx-t" >&2; die "nginx -t failed."; }
    ! grep -F '[warn]' "$LOG/nginx-t" >&2 || die "nginx -t warns."
}

start_nginx() {
    # chroot is replaced by nginx: the pid is that of the master.
    env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot "$COPY" nginx -g 'daemon off;' >"$LOG/nginx" 2>&1 </dev/null &
    NGINX_PID=$!
    wait_until nginx answers "$PORT"
}

check_user() {
    local worker workers uid wanted
    # The list has no line end, which read calls the end of the file.
    read -r -a workers <"/proc/$NGINX_PID/task/$NGINX_PID/children" || [ "${#workers[@]}" -gt 0 ]
    wanted=$(awk -F: '$1 == "www-data" { print $3 }' "$COPY/etc/passwd")
    for worker in "${workers[@]}"; do
        uid=$(awk '$1 == "Uid:" { print $2 }' "/proc/$worker/status")
        [ "$uid" = "$wanted" ] || die "a worker runs as user $uid."
    done
}

answers() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

free_port() {
    local port
    for ((port = 21000 + $$ % 1000; port < 30000; port++)); do
        answers "$port" || { printf '%s\n' "$port"; return; }
    done
    die "no free port."
}

# ---- tunnels ----------------------------------------------------------------

start_echo() {
    "$BIN/ws-echo" 127.0.0.1:0 >"$LOG/echo" 2>&1 </dev/null &
    ECHO_PID=$!
    wait_until 'the echo server' grep -q '^listening on ' "$LOG/echo"
    ECHO_ADDRESS=$(sed -n 's/^listening on //p' "$LOG/echo")
}

try_echo() {
    "$BIN/ws-try" "ws://127.0.0.1:$PORT/" 'through the package' >"$LOG/try" 2>&1 || { cat "$LOG/try" >&2; die "no echo came back."; }
    grep -q 'received "through the package"' "$LOG/try" || die "the echo is not what was sent."
}

no_tunnel() { ! "$BIN/ws-try" "ws://127.0.0.1:$PORT/" >/dev/null 2>&1; }

# open_tunnel NAME PATH   what is written to its descriptor goes through it.
declare -A TUNNELS=() PIDS=()
open_tunnel() {
    local name=$1 descriptor
    rm -f "$LOG/$name" "$LOG/$name.in"
    mkfifo "$LOG/$name.in"
    "$BIN/ws-try" "ws://127.0.0.1:$PORT$2" - <"$LOG/$name.in" >"$LOG/$name" 2>&1 &
    PIDS[$name]=$!
    TUNNEL_PIDS+=("$!")
    exec {descriptor}>"$LOG/$name.in"
    TUNNELS[$name]=$descriptor
    say_in "$name" 'hello'
}

say_in() {
    printf '%s\n' "$2" >&"${TUNNELS[$1]}"
    wait_until "\"$2\" to come back through the tunnel that $1" grep -qF "\"$2\"" "$LOG/$1"
}

close_tunnel() {
    local descriptor=${TUNNELS[$1]}
    exec {descriptor}>&-
    wait "${PIDS[$1]}" || { cat "$LOG/$1" >&2; die "the tunnel that $1 failed."; }
}

# wait_until WHAT COMMAND...   up to ten seconds.
wait_until() {
    local what=$1 tries
    shift
    for ((tries = 0; tries < 100; tries++)); do
        ! "$@" || return 0
        sleep 0.1
    done
    die "waited in vain for $what."
}

main "$@"
