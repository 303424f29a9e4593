#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# A man in the middle (test/lib/relay.c) who holds a certificate that the client
# trusts, and relays, replays, moves or drops the genuine server's evidence.
#
# attest-unbound.so is the same module with a binding that leaves the channel
# out. With it the same attacks must succeed: else it would be a fault of the
# relay that they do not.
# shellcheck source=lib.bash
. "${0%/*}/lib.bash"
need openssl curl swtpm

readonly relay=$ATTEST_BUILDDIR/relay
readonly another_connection='the evidence was made for another connection, role or certificate'

setup() {
    lab_up --with-second || return
    serve attested "$lab/server.cnf"
    attested_port=$port
    variant server unbound-server 's|attest\.so|attest-unbound.so|' || return
    variant client unbound-client 's|attest\.so|attest-unbound.so|' || return
    unbound_server=$work/unbound-server.cnf
    unbound_client=$work/unbound-client.cnf
    serve unbound "$unbound_server"
    unbound_port=$port
    # The second certificate is for what goes into its entry.
    cat "$lab/server.pem" "$lab/pki/tls-ca.pem" >"$work/chain.pem"
    chain=$work/chain.pem
}

# relay NAME [OPTION...]: to the genuine server, with its own key, unless the
# options tell otherwise. Sets port.
relay() {
    local name=$1
    shift
    spawn "$name" "$relay" --connect "127.0.0.1:$attested_port" \
        --cert "$chain" --key "$lab/server.key" "$@"
    await relays "$work/$name.log" || fail "the relay $name does not start"
    relay_log=$work/$name.log
}

relays() {
    local line
    is_running "$spawned" || fail 'the relay has ended'
    IFS= read -r line <"$1" && [[ $line == 'port '* ]] || return 1
    port=${line#port }
}

through() {
    fetch "$1" "https://localhost:$port/page"
}

# What the relay saw: it did its part, and was turned away.
relayed() {
    says "$relay_log" 'asked '
    says "$relay_log" 'evidence '
    says "$relay_log" 'refused: '
    says_not "$relay_log" 'accepted'
}

test_B3_evidence_of_a_genuine_server() {
    # The man in the middle is a genuine machine too.
    relay genuine --cert "$lab/second/server.pem" --key "$lab/second/server.key"
    unattested 'relay' through /dev/null
    : >"$relay_log"
    refuses 'relay' "$another_connection" through "$lab/client.cnf"
    relayed
    # Nor where its own evidence would do.
    policy_variant any 's/^machines .*/machines = any/' '$acertificate = any'
    accepts 'the machine itself, by that policy' \
        fetch "$work/any.cnf" "https://localhost:$attested_port/page"
    refuses 'relay' "$another_connection" through "$work/any.cnf"
}

test_B3_B5_with_the_leaked_key_of_the_server() {
    relay leaked
    unattested 'relay' through /dev/null
    : >"$relay_log"
    refuses 'relay' "$another_connection" through "$lab/client.cnf"
    refuses 'relay, s_client' "$another_connection" ask "$lab/client.cnf" "$port" -quiet
    relayed
    # The attack is a good one: without the channel in the binding it succeeds.
    relay unbound --connect "127.0.0.1:$unbound_port"
    ATTEST_REPORT=stderr accepts 'relay, unbound module' through "$unbound_client"
    [[ $output == *'is trusted'* ]] || fail 'the unbound module has not verified'
    says "$relay_log" accepted
}

test_B5_the_unbound_module_verifies_everything_else() {
    relay silent --connect "127.0.0.1:$unbound_port" --mode drop-evidence
    refuses 'no evidence' 'sent no attestation evidence' through "$unbound_client"
    relay other --connect "127.0.0.1:$unbound_port" \
        --cert "$lab/second/server.pem" --key "$lab/second/server.key"
    refuses 'other certificate' "$another_connection" through "$unbound_client"
}

# replay NAME PORT CLIENT-CONF: record at one port, for later.
record() {
    relay record --connect "127.0.0.1:$2" --mode record --file "$work/$1"
    run through "$3" || true
    says "$relay_log" 'evidence '
    [[ -s $work/$1 ]] || fail 'nothing was recorded'
}

test_B2_old_evidence() {
    record bound "$attested_port" "$lab/client.cnf"
    relay replay --mode replay --file "$work/bound"
    refuses 'replay' "$another_connection" through "$lab/client.cnf"
    refuses 'replay, once more' "$another_connection" through "$lab/client.cnf"
    says "$relay_log" 'refused: '
    record unbound "$unbound_port" "$unbound_client"
    relay replay --mode replay --file "$work/unbound" --connect "127.0.0.1:$unbound_port"
    accepts 'replay, unbound module' through "$unbound_client"
    accepts 'replay, unbound module, once more' through "$unbound_client"
}

test_S1_without_request_or_evidence() {
    local mode
    for mode in drop-request drop-evidence; do
        relay "$mode" --mode "$mode"
        unattested "$mode" through /dev/null
        refuses "$mode" 'localhost sent no attestation evidence, which policy section lab requires' \
            through "$lab/client.cnf"
        says "$relay_log" 'refused: '
    done
}

test_B7_evidence_in_another_entry() {
    local mode
    for mode in later twice; do
        relay "$mode" --mode "$mode"
        unattested "$mode" through /dev/null
        refuses "$mode" 'attestation evidence in certificate entry 2; only the first may carry it' \
            through "$lab/client.cnf"
        says "$relay_log" 'refused: '
        # Also where it would be good evidence.
        relay "$mode-unbound" --mode "$mode" --connect "127.0.0.1:$unbound_port"
        refuses "$mode, unbound module" 'attestation evidence in certificate entry 2' \
            through "$unbound_client"
    done
}

test_S2_tls12_towards_the_client() {
    relay old --mode tls12
    unattested 'TLS 1.2' through /dev/null
    refuses 'TLS 1.2' 'alert protocol version' through "$lab/client.cnf"
}

# No octet of the evidence may be another. Unit tests flip each; here a few.
test_E1_E12_altered_evidence() {
    local size position octet
    record evidence "$unbound_port" "$unbound_client"
    size=$(stat -c %s "$work/evidence")
    relay altered --mode replay --file "$work/altered" --connect "127.0.0.1:$unbound_port"
    cp "$work/evidence" "$work/altered"
    accepts 'unaltered' through "$unbound_client"
    for position in 0 1 2 30 $((size / 3)) $((size / 2)) $((size - 40)) $((size - 1)); do
        cp "$work/evidence" "$work/altered"
        octet=$(od -An -tu1 -j "$position" -N 1 "$work/evidence")
        # shellcheck disable=SC2059 # an octal escape
        printf "\\$(printf %o $((octet ^ 1)))" |
            dd of="$work/altered" bs=1 seek="$position" conv=notrunc status=none
        refuses "octet $position of $size" 'attest::' through "$unbound_client"
    done
}

run_tests "$@"
