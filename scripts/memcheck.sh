#!/usr/bin/env bash
# Runs the end-to-end tests with nginx under valgrind's memcheck, and fails on any
# access to memory that is not its own, and on what the module has lost.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

WORK=$TARGET/memcheck
LOGS=$WORK/logs
# What a frame of the module's has in a stack.
MODULE_FRAME='ngx_http_websocket_module|websocket_protocol::'
# How many times slower the tests take nginx to be.
SLOW=6

# Tests that measure what valgrind changes, by their reasons.
SKIPPED=(
)

# What --short runs besides a minute of chaos: the ways in which tunnels, redirects
# and processes end.
SHORT=(
)

usage() {
    cat <<'END'
Usage: scripts/memcheck.sh [--short | --chaos] [--seconds N] [-- ARGUMENTS]

Builds the module for the installed nginx and runs the end-to-end tests with nginx
under valgrind. Takes about half an hour.

  --short      a few tests and a minute of chaos: about four minutes
  --chaos      only the test chaos, for ten minutes
  --seconds N  how long the test chaos lasts
  ARGUMENTS    go to `cargo test -p nginx-tests`, such as
               scripts/memcheck.sh -- --test tunnel drain

What valgrind says is in target/memcheck/logs.
END
}
