#!/usr/bin/env bash
# Builds the module for every nginx that is to be had here, runs the end-to-end tests on each, and prints a table.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

WORK=$TARGET/matrix
# Of Debian's releases, those whose nginx is another than the installed one.
RELEASES=(bookworm trixie forky)
# Of the crate nginx-src, those with nginx 1.28.0 and 1.28.3.
CRATES=(1.28.0 1.28.5)
# How many times slower nginx is that an emulator runs.
SLOWNESS=6
# What is run of the tests, where it isn't all; the short form does without TLS.
SHORT=(--test handshake --test uwsgi_scgi --test timeout --test ownership)
EMULATED=(--test handshake --test causes --test tunnel)

usage() {
    cat <<'END_OF_USAGE'
Usage: scripts/matrix.sh [--short] [--arm64] [--only WORD] [--nginx-source DIR]...
                         [-- ARGUMENTS]

Builds the module for every nginx that is to be had here, runs the end-to-end
tests on each, and prints a table, which is also in target/matrix/table.md. The
nginx are:

  the installed one and, for root, those of the other Debian releases;
  those of the crate nginx-src, as nginx.org configures them;
  with --nginx-source, those in source trees, each as it is configured by those
  that ship this version: Ubuntu 1.18 and 1.24, RHEL 1.20 and 1.24, else nginx.org;
  the crate's newest once more with musl for its libc: it loads the file that was
  built for the other libc;
  with --arm64, Debian's for arm64, which QEMU runs.

  --short    builds for all, but tests three, and these in part: the oldest and the
             newest that are built here, and the one with musl
  --only WORD  of all these the lines of the table with this word in them
  ARGUMENTS  go to `cargo test -p nginx-tests`: --test handshake

What was built and tested is in target/matrix, a log for each.
END_OF_USAGE
}

main() {
    local sources=() arm64=''
    IN_SHORT='' ONLY=''
    while [ $# -gt 0 ]; do
        case $1 in
            --short) IN_SHORT=yes ;;
            --arm64) arm64=yes ;;
            --only) [ $# -ge 2 ] || die "--only needs a word."; ONLY=$2; shift ;;
            --nginx-source) [ $# -ge 2 ] || die "--nginx-source needs a directory."; sources+=("$2"); shift ;;
            --nginx-source=*) sources+=("${1#*=}") ;;
            --) shift; break ;;
            -h | --help) usage; return ;;
            *) usage >&2; exit 2 ;;
        esac
        shift
    done
    ARGUMENTS=("$@")
    mapfile -t FLAGS < <(cargo_flags)
    need_build_packages
    need_packages make:make
    check_toolchain
    rm -rf "$WORK"
    mkdir -p "$WORK"

    list "${sources[@]}"
    [ -z "$arm64" ] || add 'Debian, run by QEMU' glibc arm64 arm64
    choose
    local i
    for i in "${!LINES[@]}"; do
        try "$i"
    done
    print_table | tee "$WORK/table.md"
    [ -z "$FAILED" ] || die "not all is well: see $WORK."
}

# ---- what there is ----------------------------------------------------------

# A line of the table: who configured it, libc, processor, and the function that makes it with its arguments.
LINES=()

add() {
    local line
    line=$(printf '%s\t' "$@")
    case $line in
        *"$ONLY"*) LINES+=("$line") ;;
    esac
}

# list [DIR...]
list() {
    local release crate dir version whose
    add Debian glibc x86_64 installed
    if [ "$(id -u)" -eq 0 ]; then
        for release in "${RELEASES[@]}"; do
            is_installed_release "$release" || add "Debian $release" glibc x86_64 release "$release"
        done
    else
        say "only root can make other Debian systems: their nginx is left out."
    fi
    for dir in "$@"; do
        version=$(version_in_header "$(find_given_source "$dir")")
        for whose in $(shippers "$version"); do
            add "$whose" glibc x86_64 built "$whose" "$dir"
        done
    done
    for crate in "${CRATES[@]}"; do
        add nginx.org glibc x86_64 built nginx.org --crate-version "$crate"
    done
    add nginx.org musl x86_64 built nginx.org --musl ${IN_SHORT:+--without-tls} --crate-version "${CRATES[-1]}"
}

# Those that ship this version, by the names of build-nginx.sh.
shippers() {
    case $1 in
        1.18.*) echo ubuntu-22.04 ;;
        1.20.*) echo rhel-9 ;;
        1.24.*) echo ubuntu-24.04 rhel-9 ;;
        *) echo nginx.org ;;
    esac
}

installed_version() { version_in_header "$(find_installed_source)"; }

is_installed_release() { grep -qx "VERSION_CODENAME=$1" /etc/os-release; }

# choose   which lines are tested: with --short the first and the last that are built here, and the last with musl.
choose() {
    local i
    TESTED=()
    for i in "${!LINES[@]}"; do
        case ${LINES[i]} in
            *$'\tmusl\t'*) [ -z "$IN_SHORT" ] || TESTED[2]=$i ;;
            *$'\tbuilt\t'*) [ -z "$IN_SHORT" ] || { TESTED[0]=${TESTED[0]:-$i}; TESTED[1]=$i; } ;;
        esac
        [ -n "$IN_SHORT" ] || TESTED+=("$i")
    done
}

is_tested() { [[ " ${TESTED[*]} " == *" $1 "* ]]; }

# ---- how each is made -------------------------------------------------------

# These print the version, the nginx, the module and the root that nginx runs in, a line each.

installed() {
    module "$(installed_version)" "$(command -v nginx)" ''
}

release() {
    "$ROOT/scripts/roots.sh" "$1" >&2
    module "$(cat "$ROOTS/$1.ready")" /usr/sbin/nginx "$ROOTS/$1" --nginx-source "$ROOTS/$1-dev"
}

built() {
    local nginx tree
    # Debian's are built again and again, and have a directory each.
    export NGINX_CARGO_TARGET_DIR=$TARGET/matrix-cargo
    nginx=$("$ROOT/scripts/build-nginx.sh" --as "$@" | tail -n 1)
    tree=${nginx%/objs/nginx}
    module "$(version_in_header "$tree")" "$nginx" '' --nginx-source "$tree"
}

# module VERSION NGINX ROOT [ARGUMENT...]   where the headers are the same, so is the file: what another line has
# built is taken. The version alone would not do, as distributions mend what they ship.
module() {
    local version=$1 nginx=$2 root=$3 headers module
    shift 3
    headers=$(find_given_source "${2:-/usr/share/nginx/src}")
    module=$WORK/$version-$(cat "$headers"/src/{core,event,http}/*.h | cksum | cut -d ' ' -f 1)/$MODULE_FILE
    if [ ! -f "$module" ]; then
        mkdir -p "${module%/*}"
        cp "$("$ROOT/scripts/build.sh" "$@" | tail -n 1)" "$module.new"
        mv "$module.new" "$module"
    fi
    printf '%s\n' "$version" "$nginx" "$module" "$root"
}

arm64() {
    local made
    mapfile -t made < <("$ROOT/scripts/arm64.sh")
    printf '%s\n' "${made[@]}" ''
}

# ---- a line of the table ----------------------------------------------------

ROWS=() FAILED='' NUMBER=0

# try INDEX
try() {
    local line made log result
    mapfile -t -d $'\t' line < <(printf '%s' "${LINES[$1]%$'\t'}")
    NUMBER=$((NUMBER + 1))
    log=$WORK/$NUMBER
    say "" "== $NUMBER of ${#LINES[@]}: nginx of ${line[0]}, ${line[1]}, ${line[2]}"
    make_it "$log.build.log" "${line[@]:3}"
    if [ "${#made[@]}" -lt 4 ]; then
        FAILED=yes
        tail -n 3 "$log.build.log" >&2
        row '?' "${line[@]:0:3}" '' "not built"
        return
    fi
    if is_tested "$1"; then
        result=$(test_it "$log.test.log" "${line[2]}" "${made[@]}")
    else
        result='built, not tested'
    fi
    say "$result"
    case $result in
        *', 0 failed'* | built*) ;;
        *) FAILED=yes ;;
    esac
    row "${made[0]}" "${line[@]:0:3}" "$(sha256sum "${made[2]}" | cut -c 1-12)" "$result"
}

# make_it LOG COMMAND...   leaves in made what it prints; less if it failed.
make_it() {
    local log=$1 status
    shift
    # Not as the condition of an `if`: bash would go on after the first failure.
    set +e
    (set -e; "$@") >"$log.out" 2>"$log" </dev/null
    status=$?
    set -e
    made=()
    [ "$status" -ne 0 ] || mapfile -t made <"$log.out"
    rm -f "$log.out"
}

# test_it LOG PROCESSOR VERSION NGINX MODULE ROOT   prints how many tests passed.
test_it() {
    local log=$1 processor=$2 arguments=("${ARGUMENTS[@]}") slow=1
    [ "$processor" = x86_64 ] || slow=$SLOWNESS
    if [ "${#arguments[@]}" -eq 0 ]; then
        [ -z "$IN_SHORT" ] || arguments=("${SHORT[@]}")
        [ "$processor" = x86_64 ] || arguments=("${EMULATED[@]}")
    fi
    (
        cd "$ROOT"
        NGINX_TESTS_BINARY=$4 NGINX_TESTS_MODULE=$5 NGINX_TESTS_ROOT=$6 NGINX_TESTS_SLOW=$slow \
            NGINX_TESTS_INTEROP=$INTEROP \
            cargo test "${FLAGS[@]}" -p nginx-tests --no-fail-fast "${arguments[@]}" -- --show-output
    ) >"$log" 2>&1 </dev/null || true
    awk '/^test .* FAILED$/ { print $2 }' "$log" >&2
    awk -v what="${arguments[*]}" '
        /^test result:/ { passed += $4; failed += $6; skipped += $8 }
        /^---- .* stdout ----$/ { told = 0 }
        /^skipped: / && !told { told = 1; skipped++; passed-- }
        END {
            if (passed + failed == 0) print "the tests did not run"
            else printf "%d passed, %d failed, %d skipped%s\n", passed, failed, skipped,
                what == "" ? "" : " (" what ")"
        }' "$log"
}

row() { ROWS+=("| $1 | $2 | $3 | $4 | \`$5\` | $6 |"); }

print_table() {
    printf '%s\n' '| nginx | configured by | libc | processor | SHA-256 of the module | tests |' '|---|---|---|---|---|---|' "${ROWS[@]}"
}

main "$@"
