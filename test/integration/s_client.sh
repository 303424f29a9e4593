#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# openssl s_client and s_server: protocol versions, keys without a certificate,
# early data, HelloRetryRequest, callbacks that wrap ours, in both roles.
# shellcheck source=lib.bash
. "${0%/*}/lib.bash"
need openssl curl swtpm

setup() {
    lab_up || return
    serve attested "$lab/server.cnf" -trace
    attested_port=$port
    serve plain /dev/null -cert "$lab/plain.pem" -key "$lab/plain.key"
    plain_port=$port
}

test_trusted() {
    ATTEST_REPORT=stderr accepts 's_client' ask "$lab/client.cnf" "$attested_port" \
        -verify_return_error -verify_hostname localhost
    [[ $output == *'attest: localhost is trusted (policy section lab'* ]] ||
        fail 'no verdict in the report'
    [[ $output == *'Verification: OK'* ]] || fail 'OpenSSL has not verified'
}

test_S19_a_client_that_verifies_nothing_still_refuses() {
    local option
    for option in -quiet -verify_quiet -brief "-CAfile $lab/ak-roots.pem -verify 5"; do
        # shellcheck disable=SC2086 # two words
        unattested "$option" ask /dev/null "$plain_port" $option
        # shellcheck disable=SC2086
        refuses "$option" 'localhost sent no attestation evidence, which policy section lab requires' \
            ask "$lab/client.cnf" "$plain_port" $option
    done
}

test_S2_client_below_tls13() {
    local option
    for option in -tls1_2 -no_tls1_3; do
        unattested "$option" ask /dev/null "$attested_port" "$option"
    done
    for option in -tls1_2 -tls1_1 -tls1 -no_tls1_3 '-max_protocol TLSv1.2'; do
        # shellcheck disable=SC2086
        refuses "$option" 'localhost must prove itself (policy section lab), which needs TLS 1.3; this program allows less: raise its maximum version' \
            ask "$lab/client.cnf" "$attested_port" $option
    done
}

test_S2_client_with_dtls() {
    local option
    for option in -dtls -dtls1_2 -dtls1; do
        refuses "$option" 'localhost must prove itself (policy section lab), which DTLS cannot carry; use TLS 1.3' \
            ask "$lab/client.cnf" "$attested_port" "$option"
    done
}

# A server that proves itself, and whose program speaks DTLS: who does not ask is
# served as usual. DTLS excludes -WWW.
test_S2_server_with_dtls() {
    local input=$work/input
    mkfifo "$input" "$work/silence"
    exec {writer}<>"$input" {silence}<>"$work/silence"
    serve dtls "$lab/server.cnf" -dtls1_2
    printf '%s\n' "$page" >&"$writer"
    spawn client dtls_client /dev/null
    says "$work/client.log" "$page"
    refuses 'DTLS' 'which DTLS cannot carry; use TLS 1.3' dtls_client "$lab/client.cnf"
    is_running "${pids[dtls]}" || fail 'the server has ended'
}

# UDP shows nobody that the other is gone.
dtls_client() {
    with "$1" timeout 5 openssl s_client -dtls1_2 -connect "127.0.0.1:$port" \
        -CAfile "$lab/ca.pem" -quiet <&"$silence"
}

test_S2_server_below_tls13() {
    local option
    for option in -tls1_2 -no_tls1_3; do
        serve "below$option" "$lab/server.cnf" "$option"
        unattested "$option" ask /dev/null "$port"
        refuses "$option" 'alert protocol version' ask "$lab/client.cnf" "$port"
    done
}

# A server that proves itself serves clients that do not ask as usual.
test_S2_clients_that_do_not_ask_keep_their_versions() {
    unattested 'TLS 1.2' ask /dev/null "$attested_port" -tls1_2
    unattested 'TLS 1.3' ask /dev/null "$attested_port" -tls1_3
    unattested 'curl, TLS 1.2' fetch /dev/null "https://localhost:$attested_port/page" --tls-max 1.2
}

test_S6_external_psk() {
    local psk=0123456789abcdef
    serve psk "$lab/server.cnf" -psk $psk -nocert
    unattested 'PSK' ask /dev/null "$port" -psk $psk
    refuses 'PSK' 'alert handshake failure' ask "$lab/client.cnf" "$port" -psk $psk
    # With a certificate at hand the same client is shown that, and proof.
    serve both "$lab/server.cnf" -psk $psk \
        -ciphersuites TLS_AES_128_GCM_SHA256 # of the PSK's hash
    unattested 'PSK and certificate' ask /dev/null "$port" -psk $psk
    [[ $output == *Reused* ]] || fail 'the PSK is not used without attest'
    accepts 'PSK and certificate' ask "$lab/client.cnf" "$port" -psk $psk
    [[ $output == *'New, TLSv1.3'* ]] || fail 'no full handshake'
}

test_S7_hello_retry_request() {
    local option
    accepts 'one hello' ask "$lab/client.cnf" "$attested_port" -trace
    same 'ClientHellos' 1 "$(grep -ac '^ *ClientHello, ' <<<"$output")"
    # Two shares on offer and the server takes neither.
    for option in '-groups P-384' '-curves P-256' '-groups P-521:X448'; do
        # shellcheck disable=SC2086
        serve retry "$lab/server.cnf" $option
        ATTEST_REPORT=stderr accepts "server $option" ask "$lab/client.cnf" "$port" -trace
        same "ClientHellos with $option" 2 "$(grep -ac '^ *ClientHello, ' <<<"$output")"
        [[ $output == *'is trusted'* ]] || fail 'no verdict'
        # The attack that must not get better by it.
        # shellcheck disable=SC2086
        serve retry-plain /dev/null $option
        refuses "plain server $option" 'sent no attestation evidence' \
            ask "$lab/client.cnf" "$port"
    done
}

test_S24_callbacks_that_wrap_ours() {
    local option
    for option in -security_debug -security_debug_verbose; do
        accepts "client $option" ask "$lab/client.cnf" "$attested_port" "$option"
        [[ $output == *'Security callback'* ]] || fail "$option prints nothing"
        refuses "client $option, plain server" 'sent no attestation evidence' \
            ask "$lab/client.cnf" "$plain_port" "$option"
        refuses "client $option, TLS 1.2" 'needs TLS 1.3' \
            ask "$lab/client.cnf" "$attested_port" "$option" -tls1_2
        serve "server$option" "$lab/server.cnf" "$option"
        ATTEST_REPORT=stderr accepts "server $option" ask "$lab/client.cnf" "$port"
        [[ $output == *'is trusted'* ]] || fail 'no verdict'
    done
    # The other option prints what is not allowed, and nothing was.
    has "$work/server-security_debug_verbose.log" 'Security callback' ||
        fail 'the server prints nothing'
}

test_S15_other_ways_to_shake_hands() {
    local option
    for option in -async -nbio '-ciphersuites TLS_AES_128_GCM_SHA256' \
        '-ciphersuites TLS_CHACHA20_POLY1305_SHA256' '-max_send_frag 512' -no_ticket \
        '-cert {}/plain.pem -key {}/plain.key' -enable_pha; do
        # shellcheck disable=SC2086
        ATTEST_REPORT=stderr accepts "client $option" \
            ask "$lab/client.cnf" "$attested_port" ${option//'{}'/$lab}
        [[ $output == *'is trusted'* ]] || fail 'no verdict'
    done
    for option in -async -nbio '-num_tickets 0' '-max_send_frag 512' '-verify 1'; do
        # shellcheck disable=SC2086
        serve "server${option%% *}" "$lab/server.cnf" $option
        ATTEST_REPORT=stderr accepts "server $option" ask "$lab/client.cnf" "$port"
        [[ $output == *'is trusted'* ]] || fail 'no verdict'
    done
}

run_tests "$@"
