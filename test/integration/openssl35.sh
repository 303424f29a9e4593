#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# What OpenSSL has learnt since 3.0: raw public keys, compressed certificates,
# key exchange with ML-KEM. (QUIC: unit/check_quic.)
# shellcheck source=lib.bash
. "${0%/*}/lib.bash"
need curl openssl swtpm
[[ $(openssl s_client -help 2>&1) == *-enable_server_rpk* ]] ||
    skip_all "$(openssl version) is older than 3.2"

setup() {
    lab_up || return
    serve attested "$lab/server.cnf"
    attested_port=$port
}

# A key without a certificate: nothing that a quote could be bound to.
test_S11_raw_public_keys() {
    local raw_port
    serve raw "$lab/server.cnf" -enable_server_rpk
    accepts 'a client that wants a certificate' ask "$lab/client.cnf" "$port"
    refuses 'raw public key of an attested server' \
        'sent no attestation evidence, which policy section' \
        ask "$lab/client.cnf" "$port" -enable_server_rpk
    raw_port=$port
    serve plain /dev/null -enable_server_rpk
    refuses 'raw public key' 'sent no attestation evidence, which policy section' \
        ask "$lab/client.cnf" "$port" -enable_server_rpk
    unattested 'raw public key' ask /dev/null "$raw_port" -enable_server_rpk
    [[ $output == *'raw public key'* || $output == *'Server raw public key'* ]] ||
        fail 'no raw public key was used'
}

# A certificate that was compressed beforehand would carry no evidence.
test_S17_compressed_certificates() {
    serve squeezed "$lab/server.cnf" -cert_comp
    accepts 'a server that compresses' ask "$lab/client.cnf" "$port"
    accepts 'a client that takes none' ask "$lab/client.cnf" "$port" -no_rx_cert_comp
    # It does so for others, or this shows nothing.
    unattested 'who does not ask' ask /dev/null "$port" -msg
    [[ $output == *CompressedCertificate* ]] || skip 'this OpenSSL cannot compress'
    run ask "$lab/client.cnf" "$port" -msg || fail 'refused'
    [[ $output != *CompressedCertificate* ]] || fail 'compressed'
}

test_S7_key_exchange_with_ml_kem() {
    local group
    for group in X25519MLKEM768 SecP256r1MLKEM768 MLKEM768; do
        [[ $(openssl list -tls-groups 2>/dev/null) == *"$group"* ]] || skip "no $group"
        serve "$group" "$lab/server.cnf" -groups "$group"
        accepts "$group" ask "$lab/client.cnf" "$port" -groups "$group"
        # The first share is of another group: HelloRetryRequest.
        accepts "$group, second hello" ask "$lab/client.cnf" "$port" -groups "X25519:$group"
    done
    serve plain /dev/null -groups X25519MLKEM768
    refuses 'no evidence' 'sent no attestation evidence' \
        ask "$lab/client.cnf" "$port" -groups X25519MLKEM768
}

run_tests "$@"
