#!/usr/bin/env bash
# Measures what WebSocket connections cost nginx with the module, and without it
# but with the configuration that people write by hand, in turns on pinned cores.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

usage() {
    cat <<'END_OF_USAGE'
Usage: scripts/bench.sh [SCENARIO...] [OPTION...]

Builds the module for the installed nginx and the load generator, and measures.
bench/README.md says what the figures mean. Without a scenario, all of them run:

  handshake            connect, handshake, close
  plain                a plain request through the same location
  echo-125, echo-64k, echo-1m
                       messages of that size (any other size does as well)
  idle, idle-browser   the memory of a tunnel that is open and silent, with a
                       handshake of few headers, and with a browser's
  slow-readers         the memory of tunnels whose clients read less than is
                       sent, and what is left of it
  fairness-up, fairness-down
                       how long a plain request waits beside tunnels that carry
                       all they can to the backend, or from it
  handshake-tls ...    each of them over TLS

and these where they are named, each also over TLS:

  broadcast            what one client says, sent to 1,000
  many                 5,000 tunnels with a message a second each
  latency              how long a message takes at half of the rate that the peer
                       is capable of, beside a client that reads slowly;
                       latency-even: at half of the least that one of them can do
  slow-crowd           how long a message takes beside 5,000 clients that read a
                       byte a second each, and without them
  pages                the memory of 1,000 pages, each with four idle tunnels
  stuck                how long a message takes in 49 tunnels of one page that
                       asks for fifty things at once, beside a tunnel whose backend
                       reads nothing, and without it; stuck-plain: how long what is
                       asked for takes

With -h2 in the place of -tls clients speak HTTP/2: echo-125-h2. With -instructions behind it, handshake, plain, echo
and broadcast count instructions of nginx outside the kernel, by valgrind, and not time: handshake-instructions.

  --runs N             how often each peer is started and measured (5)
  --seconds S          how long it is measured each time (2)
  --quick              two short runs: shows that all works, not what it costs
  --before FILE        another build of the module: the peer before
  --peers A,B          which peers of module, before, zone (with a websocket_zone),
                       off (the module's location is off: for plain requests),
                       http1 (clients speak HTTP/1.1 to it also in -h2), h2off
                       (websocket_http2 off), haproxy, envoy, caddy, traefik, apache, relay and stock;
                       ratios are to the last one (module,stock; with --before
                       module,before; with -h2 module,http1); all: module, those five, relay, stock.
                       What of the five is asked for and isn't there,
                       scripts/bench-peers.sh installs
  --json               results as JSON
  --markdown           results as a table
  --svg DIR            a chart of each scenario, there
  --page FILE          measure what the marks of this page say, with all peers
                       where nothing else is said, and write it between them
  --wrap COMMAND       what to run nginx under, such as a profiler
END_OF_USAGE
}

main() {
    local argument before="" counts="" flags module others=()
    for argument in "$@"; do
        case $argument in
            -h | --help) usage; return ;;
            *-instructions* | --page) counts=yes ;;
        esac
        case $before in
            --peers) mapfile -t others < <(others_of "$argument") ;;
            --page) [ "${#others[@]}" -gt 0 ] || others=("${OTHERS[@]}") ;;
        esac
        before=$argument
    done

    need_build_packages
    [ -z "$counts" ] || need_packages valgrind:valgrind
    [ "${#others[@]}" -eq 0 ] || "$ROOT/scripts/bench-peers.sh" "${others[@]}" >/dev/null
    module=$("$ROOT/scripts/build.sh" | tail -n 1)
    mapfile -t flags < <(cargo_flags)
    cargo build --release --manifest-path "$ROOT/Cargo.toml" -p bench "${flags[@]}" >&2
    mkdir -p "$TARGET/bench"
    # In this shell's place, so that Ctrl-C and kill reach what has something to end.
    set -- "${CARGO_TARGET_DIR:-$TARGET}/release/bench" --nginx "$(command -v nginx)" \
        --module "$module" --directory "$TARGET/bench" --programs "$TARGET/bench-peers/programs" "$@"
    if has_network_of_its_own; then
        exec unshare --net sh -c "$PREPARE_NETWORK"' && exec "$@"' sh "$@"
    fi
    say "measured in this machine's own network, with its rules and settings (congestion control: $(
        cat /proc/sys/net/ipv4/tcp_congestion_control
    )); a network of its own takes root, and the packages util-linux and iproute2."
    exec "$@"
}

# others_of A,B   those of the peers that are to be installed, one a line.
others_of() {
    local peer peers
    IFS=, read -r -a peers <<<"$1"
    for peer in "${peers[@]}"; do
        case $peer in
            all) printf '%s\n' "${OTHERS[@]}" ;;
            *) for_other "$peer" ;;
        esac
    done
}

OTHERS=(haproxy envoy caddy traefik apache)

for_other() {
    local other
    for other in "${OTHERS[@]}"; do
        [ "$other" != "$1" ] || printf '%s\n' "$other"
    done
}

# A network in which nothing but the kernel's usual settings has an effect: no
# packet filter, and no congestion control that paces by timers, as BBR does,
# which cost a virtual machine more than the rest of a large message together.
# shellcheck disable=SC2016 # for the shell in that network
PREPARE_NETWORK='ip link set lo up && for name in cubic reno; do
    echo $name 2>/dev/null >/proc/sys/net/ipv4/tcp_congestion_control && break
done'

has_network_of_its_own() {
    have unshare && have ip && unshare --net sh -c "$PREPARE_NETWORK" 2>/dev/null
}

main "$@"
