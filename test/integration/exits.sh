#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# How programs end that have made attested handshakes: with their own status, at
# once, and without a word (L1). What they do is test/lib/exits.c.
# ATTEST_REPEATS=500 makes it 10^4 ends instead of some hundred.
# shellcheck source=lib.bash
. "${0%/*}/lib.bash"
need openssl swtpm

repeats=${ATTEST_REPEATS:-5}
readonly status_of_program=42
# From the first line of the program, with threads and handshakes, to its end.
readonly end_ms=8000

setup() {
    lab_up || return
    both "$lab/server.cnf" >"$lab/tcti.cnf"
    agent_up || return
    sed -e "s|^quoter .*|quoter = unix:$lab/agent|" -e '/^ak/d; /^pcrs/d; /^boot_log/d; /^measured_log/d' \
        "$lab/tcti.cnf" >"$lab/unix.cnf"
}

# attestd with what the lab's server has.
agent_up() {
    {
        printf '[attestd]\nsocket = %s\n' "$lab/agent"
        sed '1,/^\[attester_sect\]/d' "$lab/server.cnf" | sed '/^prove_to/d'
    } >"$work/attestd.cnf"
    spawn attestd "$ATTEST_BUILDDIR/attestd" --config "$work/attestd.cnf"
    await test -S "$lab/agent"
}

# both SERVER-CONF: the same with the lab's policy. A refusal is all it would log.
both() {
    sed -e 's|^attester .*|&\nverifier = verifier_sect|' -e 's|^log_level .*|log_level = error|' "$1"
    printf '\n[verifier_sect]\npolicy = %s\n' "$lab/policy.cnf"
}

# routes_end CONF STATUS ROUTE...: each as often as there are repeats.
routes_end() {
    local conf=$1 expected=$2 route i status begin took longest=0 count=0
    for route in "${@:3}"; do
        for ((i = 0; i < repeats; i++)); do
            status=0
            begin=${EPOCHREALTIME/./}
            # A shell that is to tell of a signal does so on its own stderr.
            (with_exec "$conf" timeout "$seconds" "$ATTEST_BUILDDIR/exits" "$route" \
                "$lab/server.pem" "$lab/server.key" </dev/null) >"$work/said" 2>&1 || status=$?
            took=$(((${EPOCHREALTIME/./} - begin) / 1000))
            ((took <= longest)) || longest=$took
            count=$((count + 1))
            ((status == expected)) || {
                cat "$work/said"
                fail "$route: ends with $status, not $expected"
            }
            # What GCC 12's says of every jump between stacks.
            [[ ${ATTEST_SANITIZER:-no} == no ]] ||
                sed -i '/WARNING: ASan is ignoring requested __asan/,/^For details see/d' "$work/said"
            [[ ! -s $work/said ]] || fail "$route says: $(<"$work/said")"
            ((took < end_ms)) || fail "$route: takes $took ms"
        done
    done
    note "$count ends with $expected, the longest after $longest ms"
}

quiet_ends=(return exit running _exit quick_exit caught-abort pthread_exit other-thread
    callback late-callback cleanup cleanup-contexts unload atexit-before atexit-after fork)

# Without attest the program does the same, or this shows nothing.
test_L1_program_itself() {
    routes_end /dev/null "$status_of_program" "${quiet_ends[@]}"
}

test_L1_exit_by_every_route() {
    routes_end "$lab/tcti.cnf" "$status_of_program" "${quiet_ends[@]}"
}

test_L1_exit_by_every_route_with_the_agent() {
    routes_end "$lab/unix.cnf" "$status_of_program" "${quiet_ends[@]}"
}

# What was made while OpenSSL read its configuration ends as well.
test_L1_S33_exit_by_every_route_ready_at_once() {
    local quoter
    for quoter in tcti unix; do
        sed 's/^log .*/&\nmap = start/' "$lab/$quoter.cnf" >"$work/$quoter.cnf"
        repeats=2 routes_end "$work/$quoter.cnf" "$status_of_program" "${quiet_ends[@]}"
    done
}

test_L1_signals_end_it_as_ever() {
    local quoter
    for quoter in tcti unix; do
        routes_end "$lab/$quoter.cnf" $((128 + $(kill -l TERM))) signal
        routes_end "$lab/$quoter.cnf" $((128 + $(kill -l ABRT))) abort
    done
}

# with_silent_tpm COMMAND...: no quote comes meanwhile.
with_silent_tpm() {
    local tpm status=0
    tpm=$(<"$lab/tpm/pid")
    kill -STOP "$tpm"
    ("$@") || status=$?
    kill -CONT "$tpm"
    return "$status"
}

# Who waits for the quote is not woken in a program that is going; ASYNC jobs are
# taken up by nobody.
test_L1_exit_while_a_quote_is_in_flight() {
    local quoter
    for quoter in tcti unix; do
        with_silent_tpm routes_end "$lab/$quoter.cnf" "$status_of_program" \
            in-flight in-flight-return parked dropped
        routes_end "$lab/$quoter.cnf" "$status_of_program" exit
    done
}

run_tests "$@"
