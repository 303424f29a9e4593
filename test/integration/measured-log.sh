#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# A measured log that does not lead to its PCR: no evidence, and a reason that names
# which of them was lost, of the server with its own TPM, of the agent, and of attest
# check; and all is well again when it is measured again, without a restart.
# shellcheck source=lib.bash
. "${0%/*}/lib.bash"
# shellcheck source=lib-tpm.bash
. "${0%/*}/lib-tpm.bash"
need curl openssl swtpm tpm2_pcrextend tpm2_eventlog

# Both have the lab's TPM and log.
readonly quoters='tcti agent'
declare -A port_of pid_of conf_of log_of

setup() {
    lab_up || return
    tpm_known
    {
        printf '[attestd]\nsocket = %s\n' "$scratch/agent.sock"
        grep -E '^(quoter|ak|ak_chain|pcrs|boot_log|measured_log) ' "$lab/server.cnf"
    } >"$scratch/attestd.cnf"
    spawn attestd attestd_exec
    says "$work/attestd.log" 'listening on'
    variant server agent "s|^quoter.*|quoter = unix:$scratch/agent.sock|"
    conf_of=([tcti]=$lab/server.cnf [agent]=$work/agent.cnf)
    for quoter in $quoters; do
        serve "$quoter" "${conf_of[$quoter]}"
        port_of[$quoter]=$port
        pid_of[$quoter]=$spawned
        log_of[$quoter]=$work/$quoter.log
    done
    attested_port=${port_of[tcti]}
}

attestd_exec() {
    exec "$ATTEST_BUILDDIR/attestd" --config "$scratch/attestd.cnf"
}

of() {
    fetch "$lab/client.cnf" "https://localhost:${port_of[$1]}/page"
}

# all_refused REASON: by both servers, who have it in their logs, the agent in its
# own, and attest check fails with it, of the configuration and of the processes.
all_refused() {
    local reason=$1 quoter
    for quoter in $quoters; do
        ! run of "$quoter" || fail "$quoter: accepted, though $reason"
        [[ $output == *'alert internal error'* ]] || fail "$quoter: no clean alert"
        unattested "$quoter, who does not ask" \
            fetch /dev/null "https://localhost:${port_of[$quoter]}/page"
        says "${log_of[$quoter]}" "$reason"
        check_fails "$reason" --conf "${conf_of[$quoter]}"
        check_fails "$reason" --pid "${pid_of[$quoter]}"
    done
    says "$scratch/setup/attestd.log" "refused pid"
    says "$scratch/setup/attestd.log" "$reason"
}

check_fails() {
    local status=0
    run attest check --warn 0 "${@:2}" || status=$?
    ((status == 2 || status == 4)) || fail "attest check ends with $status"
    grep -F -e "$1" <<<"$output" | grep -q '^FAIL  event log: ' || fail "no FAIL: $1"
    [[ $output != *'ok    event log'* && $output != *'ok    evidence'* ]] || fail 'it is ok, too'
}

# By the same servers and the same agent.
all_well() {
    local quoter
    for quoter in $quoters; do
        is_running "${pid_of[$quoter]}" || fail "the server with $quoter has ended"
        accepts "$quoter" of "$quoter"
        run attest check --warn 0 --conf "${conf_of[$quoter]}" || fail "$quoter: check fails"
        [[ $output == *'ok    event log: '*"replays to PCR 15 (events: $1)"* ]] ||
            fail "$quoter: another log"
    done
}

reset_tpm() {
    kill_tpm
    start_tpm
    boot
}

# extend CONTENT: the PCR and no log.
extend() {
    tpm2_pcrextend "15:sha256=$(printf '%s' "$1" | sha256sum | cut -c1-64)"
}

content_of_component() {
    printf 'component server-code sha256:%s' "$(sha256sum <"$lab/component" | cut -c1-64)"
}

test_T16_reset_with_the_log_still_there() {
    all_well 2
    reset_tpm
    all_refused "the TPM was reset since $lab/events.cel was written: PCR 15 is zero, the log has 2 events"
    measure_all
    all_well 2
}

# A hibernated machine whose initrd measures before it resumes.
test_T16_reset_and_measured_again_in_part() {
    reset_tpm
    extend "$(content_of_component)"
    all_refused "the TPM was reset since $lab/events.cel was written: PCR 15 holds the first 1 of its 2 events"
    reset_tpm
    measure_all
    all_well 2
}

test_T16_log_lost() {
    mv "$lab/events.cel" "$work/kept"
    all_refused "$lab/events.cel is not there, yet PCR 15 is not zero"
    : >"$lab/events.cel"
    all_refused "$lab/events.cel has no event of PCR 15, which is not zero"
    mv "$work/kept" "$lab/events.cel"
    all_well 2
    # As on a machine that booted again.
    rm "$lab/events.cel"
    reset_tpm
    measure_all
    all_well 2
}

test_T15_extended_by_others() {
    extend 'behind our back'
    all_refused "PCR 15 was extended by others, or the log lost events: $lab/events.cel leads to sha256:"
    reset_tpm
    measure_all
    all_well 2
}

test_damaged_log() {
    cp "$lab/events.cel" "$work/kept"
    printf 'garbage' >>"$lab/events.cel"
    all_refused "the measured log cannot be read: $lab/events.cel: record 2 is cut off"
    cp "$work/kept" "$lab/events.cel"
    all_well 2
    rm "$lab/events.cel"
    mkdir "$lab/events.cel"
    all_refused "the measured log cannot be read: $lab/events.cel is not a regular file"
    rmdir "$lab/events.cel"
    cp "$work/kept" "$lab/events.cel"
    all_well 2
}

# Extended, and not logged yet: attest measure completes it.
test_T15_interrupted_measurement() {
    local digest
    strace -o /dev/null true || skip 'strace is missing or not allowed'
    [[ ${ATTEST_SANITIZER:-no} == no ]] || skip 'a sanitizer has system calls of its own'
    digest=sha256:$(printf '%064d' 7)
    policy_variant any '$acomponents = any'
    # The second pwrite64(2) is the log's.
    ! run strace -f -o /dev/null -e trace=pwrite64 -e inject=pwrite64:signal=KILL:when=2 \
        "$ATTEST_BUILDDIR/attest" measure --conf "$lab/server.cnf" \
        --name late --digest "$digest" || fail 'not killed'
    all_refused "a measurement was interrupted: $lab/events.cel lacks an event of PCR 15"
    measure --name late --digest "$digest"
    accepts 'completed' fetch "$work/any.cnf" "https://localhost:${port_of[agent]}/page"
    accepts 'completed' fetch "$work/any.cnf" "https://localhost:${port_of[tcti]}/page"
    reset_tpm
    measure_all
    all_well 2
}

# certificates COUNT: $work/certificates.cnf, the servers' configuration with that many
# more of them to measure. Each is the server's with another signature.
certificates() {
    mkdir "$work/many"
    openssl x509 -in "$lab/server.pem" -outform DER -out "$work/server.der"
    python3 - "$work/server.der" "$work/many" "$1" <<'END'
import sys
der = open(sys.argv[1], "rb").read()
for number in range(int(sys.argv[3])):
    with open(f"{sys.argv[2]}/{number}.der", "wb") as out:
        out.write(der[:-2] + number.to_bytes(2, "big"))
END
    {
        cat "$lab/server.cnf"
        printf '[components]\nserver-code = %s\n[certificates]\nserver = %s\n' \
            "$lab/component" "$lab/server.pem"
        for ((i = 0; i < $1; i++)); do
            printf 'renewed-%d = %s/many/%d.der\n' "$i" "$work" "$i"
        done
    } >"$work/certificates.cnf"
}

logged() {
    tr -cd '\036' <"$lab/events.cel" | wc -c
}

# A certificate that is renewed daily, for three years without a boot.
test_T17_a_thousand_certificates() {
    local i before status=0
    command -v python3 >/dev/null || skip 'python3 is missing'
    certificates 1400
    # A thousand of them are served, by both, with a warning before there is no room.
    sed '/^renewed-1000 /,$d' "$work/certificates.cnf" >"$work/thousand.cnf"
    run attest measure --all --conf "$work/thousand.cnf" || fail 'a thousand are too many'
    same 'events' 1002 "$(logged)"
    same 'warnings' 1 "$(grep -c 'warning: the log fills 7[5-9] % of what evidence can carry' \
        <<<"$output")"
    all_well 1002
    for quoter in $quoters; do
        run attest check --warn 0 --conf "${conf_of[$quoter]}"
        [[ $output == *'warn  event log: it fills 7'*' % of what evidence can carry (1002 of 1536 events, '* ]] ||
            fail "$quoter: check does not warn"
        [[ $output == *'note  event log: it is too long for verifiers that do not know evidence of format 3'* ]] ||
            fail "$quoter: check does not name older verifiers"
    done
    # A client that knows format 1 alone sees why there is none.
    ! run python3 "$ATTEST_SRCDIR/test/integration/agent_client.py" "$scratch/agent.sock" ||
        fail 'evidence of format 1'
    [[ $output == *'refusal evidence-too-large: the evidence has '* ]] || fail 'no reason'
    # At the edge nothing is extended, and nobody is refused.
    run attest measure --all --conf "$work/certificates.cnf" || status=$?
    same 'status at the edge' 3 "$status"
    [[ $output == *"[certificates] renewed-"*": evidence has no room for another event of PCR 15: $lab/events.cel would have "* ]] ||
        fail 'no reason at the edge'
    before=$(logged)
    ((before > 1200)) || fail "only $before events"
    all_well "$before"
    # What is measured already is no matter of room.
    measure --certificate "$work/many/0.der"
    status=0
    run measure --certificate "$work/many/1399.der" || status=$?
    same 'status beyond the edge' 3 "$status"
    same 'events' "$before" "$(logged)"
    all_well "$before"
    reset_tpm
    measure_all
    all_well 2
}

# Whoever needs no log says so.
test_no_log() {
    variant server unlogged 's|^measured_log .*|measured_log = none|'
    policy_variant none 's/^component.*/components = any\ncertificate = any/'
    reset_tpm
    serve unlogged "$work/unlogged.cnf"
    accepts 'without a log' fetch "$work/none.cnf" "https://localhost:$port/page"
    measure_all
}

# attest measure while quotes are made is no fault of anybody's.
test_T7_measuring_under_handshakes() {
    local i quoter
    policy_variant any '$acomponents = any'
    spawn measuring measure_many
    for ((i = 0; i < 25; i++)); do
        for quoter in $quoters; do
            accepts "$quoter" fetch "$work/any.cnf" "https://localhost:${port_of[$quoter]}/page"
        done
    done
    stop "$spawned"
    # One that is killed in the middle is completed by the next.
    measure --certificate "$lab/server.pem"
    reset_tpm
    measure_all
    all_well 2
}

measure_many() {
    local i
    for ((i = 0; ; i++)); do
        measure --name "component-$i" --digest "sha256:$(printf '%064d' "$i")"
    done
}

run_tests "$@"
