#!/usr/bin/env bash
# Runs every check there is: imports, formatting, lints, unit tests, and the end-to-end
# tests through a real nginx. Installs what is missing first.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# Debian 13 and Debian testing: nginx 1.26 and 1.30.
OTHER_RELEASES=(trixie forky)
# Scenarios of the kinds that differ most.
MEASURED=(
    handshake plain echo-125-d8-tls idle broadcast many-c500 slow-crowd-c200 latency latency-even-tls pages-h2 stuck-h2
    handshake-instructions
)
APPLICATIONS=$TARGET/applications

usage() {
    cat <<'END'
Usage: scripts/test.sh [--all | --applications] [-- ARGUMENTS]

Checks imports, formatting and lints, runs the unit tests, builds the module for the
installed nginx and runs the end-to-end tests on it.

  --all         what handshakes and tunnels keep to also over HTTP/2; whether the
                oldest Rust that is allowed takes the sources, if rustup has it;
                end-to-end also on the nginx of Debian 13 and of Debian
                testing, in minimal roots that stay under target/roots (needs root), on
                an nginx that has the module compiled in, in part on nginx 1.28 with
                either libc (scripts/matrix.sh), and in part under valgrind and
                AddressSanitizer; and some inputs of each fuzz target, and unit tests
                under Miri, if Rust's nightly is there; and whether bench measures
  --applications
                instead: tries real applications behind the installed nginx, each
                with the location that docs/applications.md gives. Takes them from
                PyPI, npm and Debian, 1.5 GB under target/applications
  ARGUMENTS     go to `cargo test -p nginx-tests`, such as
                scripts/test.sh -- --test handshake
                With --applications they choose among these:
                scripts/test.sh --applications -- jupyter
END
}

main() {
    local all='' applications='' release
    while [ $# -gt 0 ]; do
        case $1 in
            --all) all=yes ;;
            --applications) applications=yes ;;
            --) shift; break ;;
            -h | --help) usage; return ;;
            *) usage >&2; exit 2 ;;
        esac
        shift
    done
    cd "$ROOT"
    mapfile -t FLAGS < <(cargo_flags)
    # What can't be tried here adds a line, also from the scripts and tests that run from here.
    export NGINX_TESTS_SKIPPED=$TARGET/skipped
    mkdir -p "$TARGET"
    : >"$NGINX_TESTS_SKIPPED"
    trap summary EXIT

    stage packages install
    if [ -n "$applications" ]; then
        try_applications "$@"
        return
    fi
    stage imports check_imports
    stage clients prepare_clients
    stage shellcheck check_scripts
    stage formatting check_formatting
    stage clippy lint
    stage 'unit tests' cargo test "${FLAGS[@]}" -p websocket-protocol -p websocket-zone -p websocket-status -p check-websocket -p bench
    on_installed "$@"
    if [ -n "$all" ]; then
        stage 'HTTP/2: end-to-end' over_http2 "$@"
        stage "Rust $RUST_MINIMUM" oldest_rust
        for release in "${OTHER_RELEASES[@]}"; do
            on_release "$release" "$@"
        done
        on_compiled_in "$@"
        stage matrix "$ROOT/scripts/matrix.sh" --short
        stage memcheck "$ROOT/scripts/memcheck.sh" --short
        stage asan "$ROOT/scripts/asan.sh" --short
        stage fuzz fuzz
        stage miri "$ROOT/scripts/miri.sh" --short
        stage bench "$ROOT/scripts/bench.sh" --quick "${MEASURED[@]}"
    fi
}

# ---- stages, each with its time ---------------------------------------------

STAGES=()
CURRENT=

stage() {
    local start=$SECONDS
    CURRENT=$1
    say "" "== $1"
    shift
    "$@"
    STAGES+=("$(printf '%5d s  %s' $((SECONDS - start)) "$CURRENT")")
    CURRENT=
}

summary() {
    local status=$?
    say "" "== times"
    [ "${#STAGES[@]}" -eq 0 ] || printf '%s\n' "${STAGES[@]}" >&2
    [ -z "$CURRENT" ] || say "failed in: $CURRENT"
    if [ -s "$NGINX_TESTS_SKIPPED" ]; then
        say "" "== skipped, so often, and why"
        sort "$NGINX_TESTS_SKIPPED" | uniq -c >&2
    fi
    [ "$status" -ne 0 ] || say "all stages passed"
}

# ---- what has to be there ---------------------------------------------------

install() {
    need_build_packages
    need_packages python3:python3
    check_toolchain
    cargo fmt --version >/dev/null 2>&1 || die "cargo fmt is missing: run \`rustup component add rustfmt\`, or install the package rustfmt."
    cargo clippy --version >/dev/null 2>&1 || die "cargo clippy is missing: run \`rustup component add clippy\`, or install the package rust-clippy."
}

# WebSocket clients that other people wrote. Without one its tests are skipped,
# and say so.
prepare_clients() {
    mkdir -p "$INTEROP"
    prepare_python || skipped "no Python websockets or prometheus_client: their tests will be skipped."
    prepare_h2 || skipped "no Python h2 or wsproto: its tests will be skipped."
    prepare_kosoku || skipped "no kosoku: Autobahn's cases will be skipped."
    prepare_node || skipped "no Node ws: its tests will be skipped."
    want_packages chromium:chromium || skipped "no Chromium: its tests will be skipped."
    prepare_promtool || skipped "no promtool: its tests will be skipped."
    want_packages curl:curl shellcheck:shellcheck man-db:man openssl:openssl ||
        skipped "no curl, shellcheck, man or openssl: the tests that need it will be skipped."
}

# Out of Debian's package, whose server nobody wants to run here.
prepare_promtool() {
    [ ! -x "$INTEROP/prometheus/usr/bin/promtool" ] || return 0
    mkdir -p "$INTEROP/prometheus"
    (cd "$INTEROP/prometheus" && logged prometheus apt-get download prometheus &&
        dpkg -x prometheus_*.deb .)
}

prepare_node() {
    [ ! -f "$INTEROP/node_modules/ws/package.json" ] || return 0
    want_packages nodejs:node npm:npm || return 1
    logged node npm install --prefix "$INTEROP" --no-save --no-audit --no-fund ws@8
}

# Servers of many kinds with the clients that belong to them. What cannot be had is
# not tried, and the test says so.
prepare_applications() {
    mkdir -p "$APPLICATIONS"
    prepare_python_applications || skipped "no applications from PyPI: their tests will be skipped."
    prepare_node_applications || skipped "no applications from npm: their tests will be skipped."
    want_packages chromium:chromium || skipped "no Chromium: the tests of pages will be skipped."
    want_packages mosquitto:mosquitto || skipped "no mosquitto: the test of MQTT will be skipped."
    want_packages nats-server:nats-server || skipped "no nats-server: the test of NATS will be skipped."
    want_packages novnc websockify tigervnc-standalone-server:Xvnc ||
        skipped "no noVNC: its test will be skipped."
}

# The versions are pinned: what is there stays until the lists change.
prepare_python_applications() {
    local lists=$ROOT/nginx-tests/applications venv=$APPLICATIONS/venv
    ! cmp -s "$lists/constraints.txt" "$venv/installed.txt" || return 0
    python3 -c 'import ensurepip, venv' 2>/dev/null || want_packages python3 python3-venv || return 1
    rm -rf "$venv"
    logged applications-python python3 -m venv "$venv" || return 1
    logged applications-python "$venv/bin/python" -m pip install --quiet \
        --requirement "$lists/requirements.txt" --constraint "$lists/constraints.txt" || return 1
    cp "$lists/constraints.txt" "$venv/installed.txt"
}

prepare_node_applications() {
    local lists=$ROOT/nginx-tests/applications modules=$APPLICATIONS/node_modules
    ! cmp -s "$lists/package-lock.json" "$modules/installed.json" || return 0
    want_packages nodejs:node npm:npm || return 1
    node -e 'const [a, b] = process.versions.node.split("."); process.exit(a > 20 || a == 20 && b >= 19 ? 0 : 1)' ||
        { say "Node $(node --version) is too old: 20.19 or later is needed."; return 1; }
    rm -rf "$modules"
    cp "$lists/package.json" "$lists/package-lock.json" "$APPLICATIONS"
    logged applications-node npm ci --prefix "$APPLICATIONS" --no-audit --no-fund || return 1
    cp "$lists/package-lock.json" "$modules/installed.json"
}

# ---- the checks -------------------------------------------------------------

check_imports() {
    "$ROOT/scripts/check-layers.py" --self-test
    "$ROOT/scripts/check-layers.py"
}

# All that a shell runs, those that have no ending among them.
check_scripts() {
    want_packages shellcheck:shellcheck || { [ -z "${CI:-}" ] && skipped "no shellcheck: the scripts are not checked." && return; }
    local scripts
    mapfile -t scripts < <(git -C "$ROOT" ls-files -z | xargs -0 grep -l -E '^#!.*\b(ba|da)?sh\b' --)
    shellcheck --external-sources "${scripts[@]}" "$ROOT/scripts/"{lib,watched}.sh
}

check_formatting() {
    cargo fmt --all --check
    cargo fmt --manifest-path fuzz/Cargo.toml --check
}

lint() (
    settings=$("$ROOT/scripts/build.sh" --env)
    eval "$settings"
    # By itself: cargo unifies the features of what it checks together, and the
    # standard library that the other programs use has a panic handler too.
    cargo clippy "${FLAGS[@]}" -p ngx-http-websocket-module --all-targets -- -D warnings
    cargo clippy "${FLAGS[@]}" --workspace --exclude ngx-http-websocket-module --all-targets -- -D warnings
    # Also where there is nothing to fuzz with. Nothing is linked, so libFuzzer, which is C++, need not be built.
    CUSTOM_LIBFUZZER_PATH=$TARGET/fuzz/libfuzzer.a cargo clippy "${FLAGS[@]}" --manifest-path fuzz/Cargo.toml --target-dir "$TARGET/fuzz/clippy" -- -D warnings
)

# The oldest Rust that Cargo.toml allows, which is Debian 13's.
oldest_rust() (
    if ! have rustup || ! logged oldest-rust timeout 300 rustup toolchain install "$RUST_MINIMUM" --profile minimal; then
        skipped "no Rust $RUST_MINIMUM: whether it takes the sources is not tried."
        return
    fi
    settings=$("$ROOT/scripts/build.sh" --env)
    eval "$settings"
    export RUSTUP_TOOLCHAIN=$RUST_MINIMUM CARGO_TARGET_DIR=$TARGET/oldest-rust
    cargo check "${FLAGS[@]}" --quiet -p ngx-http-websocket-module
    cargo check "${FLAGS[@]}" --quiet -p check-websocket
)

on_installed() {
    stage 'build' build
    stage 'panic' "$ROOT/scripts/test-panic.sh"
    stage 'end-to-end' end_to_end '' "$(command -v nginx)" "$@"
}

# All that does not depend on what HTTP/2 has no word for: a WebSocket over it is the same in
# any other way. The installed nginx is enough: tests/http2, which is about HTTP/2 itself, is on all.
over_http2() {
    [ $# -gt 0 ] || set -- --test tunnel --test causes --test handshake --test injection --test access_log \
        --test limits --test timeout --test status --test recipe --test uwsgi_scgi --test examples
    NGINX_TESTS_TRANSPORT=http2 end_to_end '' "$(command -v nginx)" "$@"
}

on_release() {
    local release=$1
    shift
    stage "$release: root" "$ROOT/scripts/roots.sh" "$release"
    stage "$release: build" build --nginx-source "$TARGET/roots/$release-dev"
    stage "$release: end-to-end" end_to_end "$TARGET/roots/$release" /usr/sbin/nginx "$@"
}

# What a module does that nginx loads, the tests above have shown: here it is about
# the place among nginx's own modules and the filters around it.
on_compiled_in() {
    local chosen=$#
    [ "$chosen" -gt 0 ] || set -- --test handshake --test injection --test uwsgi_scgi --test differential --test lifecycle --test timeout
    stage 'compiled in: build' build_nginx
    MODULE=compiled-in stage 'compiled in: end-to-end' end_to_end '' "$NGINX" "$@"
    # No other nginx here has these methods.
    [ "$chosen" -gt 0 ] || MODULE=compiled-in stage 'poll and select' end_to_end '' "$NGINX" --test tunnel level_triggered
}

# A look at whether the targets run and find nothing at once.
fuzz() {
    cargo fuzz --version >/dev/null 2>&1 || logged cargo-fuzz cargo install --locked cargo-fuzz || true
    "$ROOT/scripts/fuzz.sh" --smoke
}

# try_applications [ARGUMENT...]
try_applications() {
    stage 'applications: packages' prepare_applications
    stage 'applications: build' build
    stage applications end_to_end '' "$(command -v nginx)" --test applications -- --test-threads 2 "$@"
}

# Leaves the path of the nginx in NGINX.
build_nginx() {
    NGINX=$("$ROOT/scripts/build-nginx.sh" | tail -n 1)
    say "$NGINX"
}

# Leaves the path of the module in MODULE.
build() {
    MODULE=$("$ROOT/scripts/build.sh" "$@" | tail -n 1)
    say "$MODULE"
}

# end_to_end ROOT NGINX [ARGUMENT...]   NGINX is a path inside ROOT, where there
# is one: the tests then run it with chroot. Most of the time a test waits, so that a core has
# work for two.
end_to_end() {
    local root=$1 nginx=$2
    shift 2
    RUST_TEST_THREADS=${RUST_TEST_THREADS:-$(($(nproc) * 2))} \
        NGINX_TESTS_ROOT=$root NGINX_TESTS_BINARY=$nginx NGINX_TESTS_MODULE=$MODULE \
        NGINX_TESTS_INTEROP=$INTEROP NGINX_TESTS_APPLICATIONS=$APPLICATIONS cargo test "${FLAGS[@]}" -p nginx-tests "$@"
}

main "$@"
