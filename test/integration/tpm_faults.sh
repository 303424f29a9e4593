#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# What happens to a TPM under a server that goes on: killed, reset, busy,
# extended by others; and measuring that is interrupted. Each test leaves the
# machine as it was, booted again.
# shellcheck source=lib.bash
. "${0%/*}/lib.bash"
# shellcheck source=lib-tpm.bash
. "${0%/*}/lib-tpm.bash"
need curl openssl swtpm tpm2_pcrextend tpm2_eventlog

setup() {
    lab_up || return
    tpm_known
    serve attested "$lab/server.cnf"
    attested_port=$port
    attested_pid=$spawned
}

home() {
    fetch "${1:-$lab/client.cnf}" "https://localhost:$attested_port/page"
}

reboot() {
    kill_tpm
    start_tpm
    boot
    measure_all
}

# The server is the one that was started, and well.
is_well() {
    is_running "$attested_pid" || fail 'the server has ended'
    accepts 'afterwards' home
    says_not "$scratch/setup/attested.log" 'makes no sense'
}

milliseconds() {
    date +%s%3N
}

test_T5_killed_and_started_again() {
    local began took i
    accepts 'before' home
    # Under load, so that it dies in the middle of a command.
    for i in 1 2 3 4; do
        spawn "load-$i" load
    done
    for i in 1 2 3; do
        sleep 0.2
        kill_tpm
        began=$(milliseconds)
        ! run home || fail 'accepted without a TPM'
        took=$(($(milliseconds) - began))
        ((took < 2000)) || fail "refused only after $took ms"
        [[ $output == *'alert internal error'* ]] || fail 'no clean alert'
        unattested 'who does not ask' home /dev/null
        says "$scratch/setup/attested.log" 'handshake refused: '
        start_tpm
        boot
        measure_all
        await recovered || fail 'does not recover'
    done
    is_well
}

load() {
    while :; do
        home >/dev/null 2>&1
    done
}

recovered() {
    run home
}

test_T6_E17_reset() {
    local before after
    before=$(resets)
    accepts 'before' home
    kill_tpm
    start_tpm
    # The same server, which has an open connection and loaded the AK.
    refuse_reset
    boot
    refuse_reset
    measure_all
    # A good boot replayed into a TPM that was reset: what doc/SECURITY.md says
    # that nothing but the count of resets shows.
    is_well
    after=$(resets)
    ((after > before)) || fail "resets: $before before, $after after"
}

# No refuses(): there is no good connection meanwhile.
refuse_reset() {
    ! run home || fail 'accepted'
    [[ $output == *'alert internal error'* ]] || fail 'no clean alert'
    says "$scratch/setup/attested.log" "the TPM was reset since $lab/events.cel was written"
}

resets() {
    attest show --json "localhost:$attested_port" |
        sed -n 's/.*"reset_count":\([0-9]*\).*/\1/p'
}

# Never is a value told that the quote does not cover, nor a log that does not
# fit: what the policy says of that PCR is all that matters.
test_T7_extended_in_a_loop() {
    local i accepted=0 lines
    lines=$(wc -l <"$scratch/setup/attested.log")
    # A PCR that is quoted, and of which the policy says nothing.
    spawn extends extend_forever 12
    for ((i = 0; i < 30; i++)); do
        if run home; then
            accepted=$((accepted + 1))
        else
            [[ $output == *'alert internal error'* ]] || fail 'refused for another reason'
        fi
    done
    stop "$spawned"
    ((accepted > 0)) || fail 'none was accepted'
    # One of which it does.
    spawn extends extend_forever 4
    for ((i = 0; i < 15; i++)); do
        run home || [[ $output == *'PCR 4 does not match policy: expected '* ||
            $output == *'alert internal error'* ]] || fail 'refused for another reason'
    done
    stop "$spawned"
    ! run home || fail 'accepted with another PCR 4'
    tail -n "+$((lines + 1))" "$scratch/setup/attested.log" | grep -a 'handshake refused: ' |
        grep -avE 'PCRs moved during each of|no TPM answers|lost the TPM' &&
        fail 'the server refused for another reason'
    reboot
    is_well
}

extend_forever() {
    while :; do
        tpm2_pcrextend "$1:sha256=$(printf '%064d' "$1")"
    done
}

# A second program keeps the TPM busy with what takes it longest.
test_T13_another_program_hogs_it() {
    local i began
    spawn hog make_keys_forever
    for ((i = 0; i < 8; i++)); do
        began=$SECONDS
        run home || [[ $output == *'alert internal error'* ]] || fail 'refused for another reason'
        # The server's timeout and a little.
        ((SECONDS - began <= 8)) || fail "took $((SECONDS - began)) s"
    done
    stop "$spawned"
    is_well
}

make_keys_forever() {
    while :; do
        tpm2_createprimary -Q -C n -G rsa2048 -c "$work/primary.ctx"
        tpm2_flushcontext -t
    done
}

# Killed at each of its steps, a measurement is done when it is asked for again,
# and never twice. The steps: commands to the TPM, the record of what is about to
# happen (written, synced, renamed), the log (written, synced), the record's end.
test_T15_measuring_interrupted() {
    local call when name event digest steps
    strace -o /dev/null true || skip 'strace is missing or not allowed'
    [[ ${ATTEST_SANITIZER:-no} == no ]] || skip 'a sanitizer has system calls of its own'
    policy_variant any '$acomponents = any'
    digest=sha256:$(printf '%064d' 7)
    for steps in 'sendto 1 2 3 4' 'pwrite64 1 2' 'fsync 1 2 3 4' 'rename 1' 'unlink 1'; do
        call=${steps%% *}
        for when in ${steps#* }; do
            name=$call-$when
            event="component $name $digest"
            # Killed as the call begins.
            ! run strace -f -o /dev/null -e "trace=$call" -e "inject=$call:signal=KILL:when=$when" \
                "$ATTEST_BUILDDIR/attest" measure --conf "$lab/server.cnf" \
                --name "$name" --digest "$digest" || fail "$name: not killed"
            run measure --name "$name" --digest "$digest" || fail "$name: not repaired"
            same "$name, events of it" 1 "$(grep -ac "$event" "$lab/events.cel")"
            [[ ! -e $lab/events.cel.wal ]] || fail "$name: its record is left"
            accepts "$name" home "$work/any.cnf"
        done
    done
    reboot
    is_well
}

# Firmware that measures into the SHA-1 bank only.
test_E8_sha256_bank_never_extended() {
    tpm2_pcrallocate sha1:all+sha256:all
    kill_tpm
    start_tpm
    tpm2_pcrextend 0:sha1=1111111111111111111111111111111111111111 \
        7:sha1=2222222222222222222222222222222222222222
    measure_all
    policy_variant no-pcrs '/^pcr\.[1-7]/d' "s/^pcr.0 .*/pcr.8 = $(printf '%064d' 0)/"
    ! run home "$work/no-pcrs.cnf" || fail 'accepted'
    [[ $output == *'PCRs 0-7 of bank sha256 are all zero: firmware did not measure into it'* ]] ||
        fail 'no reason'
    tpm2_pcrallocate sha1:none+sha256:all
    reboot
    is_well
}

run_tests "$@"
