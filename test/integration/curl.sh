#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# curl, which has never heard of attest.
# shellcheck source=lib.bash
. "${0%/*}/lib.bash"
need curl openssl swtpm

setup() {
    lab_up || return
    serve attested "$lab/server.cnf"
    attested_port=$port
    serve plain /dev/null -cert "$lab/plain.pem" -key "$lab/plain.key"
    plain_port=$port
    plain_log=$work/plain.log
    issue other 'DNS:other.test' || return
    other=$work/other
}

test_trusted_by_name_and_by_address() {
    local host
    for host in localhost 127.0.0.1 '[::1]'; do
        ATTEST_REPORT=stderr accepts "$host" \
            fetch "$lab/client.cnf" "https://$host:$attested_port/page"
        [[ $output == *'is trusted (policy section lab, machine machine-a.attested.test'* ]] ||
            fail 'no verdict in the report'
    done
}

# The report says what was checked, and claims nothing that was not.
test_report_of_a_trusted_server() {
    local step
    ATTEST_REPORT=$work/report accepts 'trusted' \
        fetch "$lab/client.cnf" "https://localhost:$attested_port/page"
    for step in decode ak-chain signature magic type binding freshness selection \
        pcr-digest log certificate components pcr-values; do
        grep -q "^  ok    $step " "$work/report" || fail "$step is not reported"
    done
    # tls_key = any: nobody has looked where the TLS key lives.
    says_not "$work/report" 'ok    tls-key       TLS key lives in this TPM'
}

test_E14_report_of_a_refused_server() {
    policy_variant other-pcr 's/^pcr.7 .*/pcr.7 = '"$(printf 'ab%.0s' {1..32})/"
    refuses 'other PCR' 'PCR 7 does not match policy: expected abab' reporting "$work/report" \
        fetch "$work/other-pcr.cnf" "https://localhost:$attested_port/page"
    says "$work/report" 'attest: localhost REFUSED: PCR 7 does not match policy: expected abab'
    grep -q '^  FAIL  pcr-values ' "$work/report" || fail 'the report does not show the step'
    refuses 'plain server' 'sent no attestation evidence' reporting "$work/report.plain" \
        fetch "$lab/client.cnf" "https://localhost:$plain_port/page"
    says "$work/report.plain" 'attest: localhost REFUSED: localhost sent no attestation evidence'
    says_not "$work/report.plain" '  ok  '
}

# reporting FILE COMMAND...: for this alone, not for the connections around it.
reporting() {
    ATTEST_REPORT=$1 "${@:2}"
}

test_E14_no_request_reaches_a_refused_server() {
    local before after
    before=$(grep -ac '^FILE:' "$plain_log" || true)
    refuses 'plain server' 'sent no attestation evidence' \
        fetch "$lab/client.cnf" "https://localhost:$plain_port/page" --data 'secret=1' --http1.0
    after=$(grep -ac '^FILE:' "$plain_log" || true)
    same 'requests' "$before" "$after"
}

test_S19_k_does_not_turn_attestation_off() {
    local host
    for host in localhost 127.0.0.1 '[::1]'; do
        unattested "$host" fetch /dev/null "https://$host:$plain_port/page" -k
        refuses "$host" 'sent no attestation evidence, which policy section lab requires' \
            fetch "$lab/client.cnf" "https://$host:$plain_port/page" -k
    done
}

# Attestation adds to what curl verifies, and replaces none of it.
test_certificates_are_verified_as_ever() {
    local status=0
    run fetch "$lab/client.cnf" "https://localhost:$attested_port/page" \
        --cacert "$lab/ak-roots.pem" || status=$?
    same 'status of curl, other CA' 60 "$status"
    status=0
    run fetch "$lab/client.cnf" "https://other.attested.test:$attested_port/page" \
        --connect-to "::127.0.0.1:$attested_port" || status=$?
    same 'status of curl, other name' 60 "$status"
}

test_S2_tls12() {
    unattested 'TLS 1.2' fetch /dev/null "https://localhost:$attested_port/page" --tls-max 1.2
    refuses 'TLS 1.2' 'localhost must prove itself, which needs TLS 1.3; this program allows less' \
        fetch "$lab/client.cnf" "https://localhost:$attested_port/page" --tls-max 1.2
    refuses 'TLS 1.2, by address' 'must prove itself, which needs TLS 1.3; this program allows less' \
        fetch "$lab/client.cnf" "https://127.0.0.1:$attested_port/page" --tls-max 1.2
}

# A server that speaks no TLS 1.3 says so with an alert: not with a word of ours, were
# it not explained.
test_S2_a_server_of_tls12_only() {
    serve old "$lab/server.cnf" -cert "$lab/server.pem" -key "$lab/server.key" -tls1_2
    unattested 'TLS 1.2 only' fetch /dev/null "https://localhost:$port/page"
    sed "s|^log .*|log = $work/log|; s/^log_level .*/log_level = warn/" "$lab/client.cnf" \
        >"$work/logging.cnf"
    ATTEST_REPORT=$work/report refuses 'TLS 1.2 only' \
        'attest::localhost must prove itself, which needs TLS 1.3; it sent alert protocol version' \
        fetch "$work/logging.cnf" "https://localhost:$port/page"
    says "$work/log" 'localhost must prove itself (policy section lab), which needs TLS 1.3; it sent the alert protocol version: it speaks less'
    says "$work/report" 'REFUSED: localhost must prove itself (policy section lab), which needs TLS 1.3'
}

elsewhere() {
    fetch "$1" "https://other.test:$port/page" --connect-to "::127.0.0.1:$port" "${@:2}"
}

test_servers_of_no_policy_are_reached_as_ever() {
    local option
    serve other /dev/null -cert "$other.pem" -key "$other.key"
    for option in --tlsv1.3 '--tls-max 1.2' --http1.0; do
        # shellcheck disable=SC2086
        accepts "$option" elsewhere "$lab/client.cnf" $option
    done
}

# OpenSSL hands over an extension of the Certificate message that nobody asked
# for; a server of OpenSSL's never sends one.
test_S27_evidence_nobody_asked_for() {
    local python=/usr/bin/python3 evidence
    "$python" -c 'import cryptography' || skip 'python3-cryptography is missing'
    # Nothing, garbage, a length that lies, more than is allowed.
    for evidence in '' 00 0003ffffff ffff00 "$(printf 'fff0%.0s' {1..30000})"; do
        crafted certificate "$evidence"
        accepts "evidence of ${#evidence} digits" elsewhere "$lab/client.cnf"
        says_not "$work/crafted.log" asked
        says "$work/crafted.log" served
    done
    # The same server is refused where evidence is asked for.
    crafted certificate 0003ffffff "$lab/plain"
    refuses 'evidence' 'attest::malformed evidence' \
        fetch "$lab/client.cnf" "https://localhost:$port/page"
    says "$work/crafted.log" asked
    says_not "$work/crafted.log" served
}

# In other messages it is an error of the protocol, wherever it comes from.
test_E14_evidence_in_another_message() {
    local python=/usr/bin/python3 place
    "$python" -c 'import cryptography' || skip 'python3-cryptography is missing'
    for place in encrypted-extensions server-hello; do
        crafted "$place" 0003ffffff "$lab/plain"
        refuses "$place" 'SSL routines::' \
            fetch "$lab/client.cnf" "https://localhost:$port/page"
        says_not "$work/crafted.log" served
    done
}

# crafted PLACE HEX [CERTIFICATE]
crafted() {
    local from=${3:-$other}
    spawn crafted "$python" "$ATTEST_SRCDIR/test/integration/crafted_server.py" \
        "$from.pem" "$from.key" "$scratch/www/page" "$1" "$2"
    await listens "$work/crafted.log" || fail 'the crafted server does not start'
}

run_tests "$@"
