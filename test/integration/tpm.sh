#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# A TPM that is absent, silent, forbidden or not as configured: the server says
# what is wrong, who asks for evidence gets an alert, and everybody else is
# served as usual.
# shellcheck source=lib.bash
. "${0%/*}/lib.bash"
need curl openssl swtpm tpm2_getcap

setup() {
    lab_up --with-second || return
    serve attested "$lab/server.cnf"
    attested_port=$port
}

server_options=()

# cannot_prove NAME REASON SED-COMMAND...: a server whose configuration differs.
cannot_prove() {
    local name=$1 reason=$2
    shift 2
    variant server "$name" "$@"
    serve "$name" "$work/$name.cnf" "${server_options[@]}"
    cannot_prove_at "$name" "$reason"
}

cannot_prove_at() {
    refuses "$1" 'alert internal error' fetch "$lab/client.cnf" "https://localhost:$port/page"
    says "$work/$1.log" "$2"
    unattested "$1, who does not ask" fetch /dev/null "https://localhost:$port/page"
    is_running "$spawned" || fail "$1: the server has ended"
}

test_T1_absent() {
    # Where nobody listens.
    cannot_prove port 'no TPM answers at swtpm:host=127.0.0.1,port=1: Connection refused; start swtpm there' \
        's|^quoter.*|quoter = tcti:swtpm:host=127.0.0.1,port=1|'
    cannot_prove device 'cannot open the TPM /nonexistent/tpmrm0: No such file or directory' \
        's|^quoter.*|quoter = tcti:device:/nonexistent/tpmrm0|'
    cannot_prove library 'tpm2-tss has no TCTI "nonexistent"' 's|^quoter.*|quoter = tcti:nonexistent|'
    # Something listens, but is no TPM.
    cannot_prove server "cannot quote: " \
        "s|^quoter.*|quoter = tcti:swtpm:host=127.0.0.1,port=$attested_port|"
}

test_T1_no_permission() {
    : >"$work/tpmrm0"
    chmod 0 "$work/tpmrm0"
    cp "$lab/server.key" "$work/server.key"
    chmod 644 "$work/server.key"
    server_options=(-cert "$lab/server.pem" -key "$work/server.key")
    as_nobody
    cannot_prove device "cannot open the TPM $work/tpmrm0: Permission denied" \
        "s|^quoter.*|quoter = tcti:device:$work/tpmrm0|"
}

test_T1_wrong_handle() {
    cannot_prove handle "no key at AK handle 0x81010099: make one, see attest(7), or correct ak" \
        's|^ak .*|ak = 0x81010099|'
    cannot_prove no-handle 'ak = secret.key: expected a persistent handle such as 0x81010002' \
        's|^ak .*|ak = secret.key|'
    cannot_prove transient 'ak = 0x80000000: expected a persistent handle, 0x81000000 to' \
        's|^ak .*|ak = 0x80000000|'
}

test_T1_E16_wrong_chain() {
    cannot_prove other-machine "is for another key than AK 0x81010002: correct ak or ak_chain" \
        "s|^ak_chain .*|ak_chain = $lab/second/ak-chain.pem|"
    cannot_prove other-key "is for another key than AK 0x81010002: correct ak or ak_chain" \
        "s|^ak_chain .*|ak_chain = $lab/server.pem|"
    cannot_prove root 'the first certificate is self-signed: expected the AK certificate' \
        "s|^ak_chain .*|ak_chain = $lab/ak-roots.pem|"
    cannot_prove missing 'ak_chain: cannot open /nonexistent.pem: No such file or directory' \
        's|^ak_chain .*|ak_chain = /nonexistent.pem|'
    cannot_prove no-pem 'no certificate in it: expected the AK certificate' \
        "s|^ak_chain .*|ak_chain = $lab/policy.cnf|"
}

test_T1_wrong_settings() {
    cannot_prove no-quoter 'the attester section has no quoter; for example quoter = unix:/run/attest/agent.sock' \
        '/^quoter/d'
    cannot_prove agent 'quoter = unix:agent.sock: expected an absolute path' \
        's|^quoter.*|quoter = unix:agent.sock|'
    cannot_prove no-ak 'the attester section has no ak' '/^ak /d'
    cannot_prove no-chain 'the attester section has no ak_chain' '/^ak_chain/d'
    cannot_prove timeout 'timeout = 0 is not from 1 to 600000' 's|^timeout.*|timeout = 0|'
    cannot_prove bank 'PCR selection: ' 's|^pcrs.*|pcrs = sha3:0-7|'
    cannot_prove no-log-pcr 'PCR 15, whose log is sent, is not among them' \
        's|^pcrs.*|pcrs = sha256:0-7|'
    cannot_prove evidence 'this version supports only live' 's|^timeout.*|evidence = epoch|'
    cannot_prove auth 'ak_auth: cannot open /nonexistent: No such file' \
        's|^timeout.*|ak_auth = file:/nonexistent|'
}

# Its TPM, which no other test needs at that moment, holds its breath.
test_T4_silent() {
    local began=$SECONDS
    variant server silent "s|^quoter.*|quoter = tcti:$(<"$lab/second/tcti")|" \
        "s|^ak_chain .*|ak_chain = $lab/second/ak-chain.pem|" 's|^timeout.*|timeout = 700|' \
        "s|^measured_log .*|measured_log = $lab/second/events.cel|"
    serve silent "$work/silent.cnf" -cert "$lab/second/server.pem" -key "$lab/second/server.key"
    accepts 'before' fetch "$lab/second/client.cnf" "https://localhost:$port/page"
    tpm=$(<"$lab/second/tpm/pid")
    trap 'kill -CONT "$tpm"; stop_all' EXIT
    kill -STOP "$tpm"
    cannot_prove_at silent 'did not answer in time: it is silent, or busy with other programs'
    ((SECONDS - began < 20)) || fail "took $((SECONDS - began)) s"
    kill -CONT "$tpm"
    await recovered || fail 'does not recover'
}

recovered() {
    run fetch "$lab/second/client.cnf" "https://localhost:$port/page"
}

test_E16_evidence_of_two_machines() {
    # The TPM of one and the log of the other.
    cannot_prove log "PCR 15 was extended by others, or the log lost events: $lab/second/events.cel leads to sha256:" \
        "s|^measured_log .*|measured_log = $lab/second/events.cel|"
    # All of the other, under this one's name (B6).
    serve other "$lab/second/server.cnf" -cert "$lab/second/server.pem" -key "$lab/second/server.key"
    accepts 'the other machine, by its own policy' \
        fetch "$lab/second/client.cnf" "https://localhost:$port/page"
    refuses 'the other machine' 'AK certificate is for machine-b.attested.test; expected machine machine-a.attested.test' \
        fetch "$lab/client.cnf" "https://localhost:$port/page"
    # The other's TLS certificate, this one's evidence.
    serve certificate "$lab/server.cnf" -cert "$lab/second/server.pem" -key "$lab/second/server.key"
    refuses 'certificate of the other' 'the TLS certificate is not in the measured log: expected sha256:' \
        fetch "$lab/client.cnf" "https://localhost:$port/page"
}

# cannot_match NAME REASON SED-COMMAND...: a server that sends evidence which the
# client refuses.
cannot_match() {
    local name=$1 reason=$2
    shift 2
    variant server "$name" "$@"
    serve "$name" "$work/$name.cnf"
    refuses "$name" "$reason" fetch "$lab/client.cnf" "https://localhost:$port/page"
}

test_E6_E7_too_few_pcrs() {
    local pcr_15='sha256:15' all_but_4='sha256:0-3,5-15'
    cannot_match log-only 'the policy needs PCR 0 of bank sha256, which the quote does not cover' \
        "s|^pcrs.*|pcrs = $pcr_15|"
    cannot_match one-missing 'the policy needs PCR 4 of bank sha256, which the quote does not cover' \
        "s|^pcrs.*|pcrs = $all_but_4|"
}

test_E8_sha1_never_counts() {
    cannot_prove no-bank 'this TPM has no PCR 0 in bank sha1: take it out of pcrs' \
        's|^pcrs.*|pcrs = sha1:0-15|'
}

test_T10_nothing_is_left_in_the_tpm() {
    local kind
    TPM2TOOLS_TCTI=$(<"$lab/tcti")
    export TPM2TOOLS_TCTI
    for kind in handles-transient handles-loaded-session handles-saved-session; do
        same "$kind" '' "$(tpm2_getcap "$kind")"
    done
}

run_tests "$@"
