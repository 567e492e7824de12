# shellcheck shell=bash
# What the scripts share that run the end-to-end tests with nginx under a tool that watches
# its memory. To be sourced behind lib.sh, not run.
#
# A script sets TOOL, WORK, SLOWNESS, SHORT_CHAOS and SHORT_HTTP2, leaves in NGINX what runs nginx under the
# tool and in MODULE the module, and defines usage() and judge(): that prints what the tool has
# found, and fails if it is something.

# What every such tool changes, as tests that are left out, by what that is.
SKIPPED=(
    # How much memory a worker has.
    own_loop::thousands_of_tunnels_leave_nothing_in_the_worker
    pump::what_a_tunnel_held_is_given_back
    soak::nothing_is_left_of_two_thousand_tunnels
    idle::a_plain_one_holds_two_blocks_of_its_request
    idle::long_headers_take_no_third_block
    idle::over_tls_one_holds_no_buffer_of_nginx_s
    idle::an_upstream_s_tls_holds_none_either
    # malloc(), in whose place the tests put their own.
    all_is_where_it_was_when_thousands_of_tunnels_have_gone
    all_is_where_it_was_when_thousands_of_streams_have_gone
    each_holds_a_small_buffer_and_holds_up_nobody
    # Calls of libc, in whose place those tests put their own, as the tool does.
    memory::of_
    descriptors::
    clock::
    # How long something takes, to a tenth of a second.
    ends::durations_are_those_of_the_tunnel
    # How an upstream fails that has a tenth of a second to answer.
    mirror::a_mirror_that_fails_before_the_101_changes_nothing
    # Whether a second is enough for one of Autobahn's cases.
    the_same_verdicts_behind_nginx
    the_same_verdicts_through_nginx
)

# What --short runs besides chaos: each way in which a tunnel or a worker ends. SHORT_HTTP2 is what it runs
# over HTTP/2.
SHORT=(ends:: drain::)

# read_options [ARGUMENT...]   sets WHAT, CHAOS_SECONDS and ARGUMENTS, those of the tests.
read_options() {
    WHAT=all CHAOS_SECONDS='' ARGUMENTS=()
    while [ $# -gt 0 ]; do
        case $1 in
            --short) WHAT=short ;;
            --chaos) WHAT=chaos ;;
            --seconds) [ $# -ge 2 ] || die "--seconds needs a number."; CHAOS_SECONDS=$2; shift ;;
            --seconds=*) CHAOS_SECONDS=${1#*=} ;;
            --) shift; ARGUMENTS=("$@"); break ;;
            -h | --help) usage; exit ;;
            *) usage >&2; exit 2 ;;
        esac
        shift
    done
}

# watch   runs the tests, and says what came of it.
watch() {
    local failed=''
    run_tests || failed='some tests failed'
    judge || failed="${failed:+$failed, and }$TOOL found faults"
    [ -e "$WORK/started" ] || die "no test ran nginx."
    [ -z "$failed" ] || die "$failed."
    say "$TOOL found no fault; the tests started nginx $(wc -l <"$WORK/started") times."
}

# run_tests   fails if a test does.
run_tests() {
    local skip=() name status=0
    for name in "${SKIPPED[@]}"; do
        skip+=(--skip "$name")
    done
    export NGINX_TESTS_BINARY=$NGINX NGINX_TESTS_MODULE=$MODULE NGINX_TESTS_SLOW=$SLOWNESS
    export NGINX_TESTS_INTEROP=$INTEROP
    if [ "${#ARGUMENTS[@]}" -gt 0 ]; then
        [[ " ${ARGUMENTS[*]} " == *' -- '* ]] || ARGUMENTS+=(--)
        tests 20 "${ARGUMENTS[@]}" "${skip[@]}"
        return
    fi
    case $WHAT in
        all) tests 60 -- "${skip[@]}" ;;
        chaos) tests 600 --test chaos ;;
        short)
            tests "$SHORT_CHAOS" --test chaos || status=$?
            tests 20 --test tunnel -- "${SHORT[@]}" "${skip[@]}" || status=$?
            tests 20 --test http2 -- "${SHORT_HTTP2[@]}" "${skip[@]}" || status=$?
            return "$status"
            ;;
    esac
}

# tests SECONDS [ARGUMENT...]   the time for the test chaos, unless it was given.
tests() {
    local seconds=${CHAOS_SECONDS:-$1}
    shift
    mapfile -t flags < <(cargo_flags)
    RUST_TEST_THREADS=2 NGINX_TESTS_CHAOS_SECONDS=$seconds \
        cargo test "${flags[@]}" -p nginx-tests --no-fail-fast "$@"
}
