#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# attest show and attest policy, against servers with the module in them.
# shellcheck shell=bash source-path=SCRIPTDIR source=lib.bash
# shellcheck source=lib.bash
. "${0%/*}/lib.bash"
need curl swtpm tpm2_pcrextend

setup() {
    lab_up || return
    serve attested "$lab/server.cnf"
    attested_port=$port
    serve plain /dev/null -cert "$lab/plain.pem" -key "$lab/plain.key"
    plain_port=$port
    serve tls12 "$lab/server.cnf" -tls1_2
    tls12_port=$port
}

test_evidence_is_shown() {
    local host
    for host in localhost 127.0.0.1 '[::1]'; do
        ends 0 attest show "$host:$attested_port" --cafile "$lab/ca.pem"
        prints 'shown, not judged (no policy asks for it)'
        prints 'ok    binding'
        prints 'component server-code sha256:'
        prints_not FAIL
    done
    ends 0 attest show "localhost:$attested_port" --cafile "$lab/ca.pem"
    prints '  verified by the CAs here: ok'
    ends 0 attest show "localhost:$attested_port" --json
    prints '{"verdict":"none","peer":"localhost"'
}

test_a_server_without_evidence() {
    ends 3 attest show "localhost:$plain_port"
    prints 'sent no attestation evidence'
    ends 3 attest show "localhost:$tls12_port"
    prints 'does not speak TLS 1.3'
    ends 3 attest show "localhost:$(free_port)"
    prints 'Connection refused'
    same 'lines' 1 "$(wc -l <"$work/output")"
}

# Whatever the user's programs are configured for: this client would refuse the
# plain server in its own words, and a server's configuration asks for nothing.
test_an_active_module_does_not_interfere() {
    local conf
    for conf in "$lab/client.cnf" "$lab/server.cnf"; do
        ends 0 with "$conf" "$ATTEST_BUILDDIR/attest" show "localhost:$attested_port"
        prints 'ok    binding'
        ends 3 with "$conf" "$ATTEST_BUILDDIR/attest" show "localhost:$plain_port"
        prints 'sent no attestation evidence'
    done
}

test_a_policy_judges_as_curl_does() {
    ends 0 attest show "localhost:$attested_port" --policy "$lab/policy.cnf"
    prints 'attest: localhost is trusted (policy section'
    policy_variant wrong 's/^pcr.4 .*/pcr.4 = '"$(printf '%064d' 0)/"
    refuses curl 'PCR 4 does not match policy' \
        fetch "$work/wrong.cnf" "https://localhost:$attested_port/page"
    ends 1 attest show "localhost:$attested_port" --policy "$work/wrong.policy.cnf"
    prints 'REFUSED: PCR 4 does not match policy'
    prints 'MISMATCH'
    ends 2 attest show "localhost:$attested_port" --policy "$work/none.cnf"
}

test_E16_saved_evidence() {
    ends 0 attest show "localhost:$attested_port" --save "$work/evidence.json"
    ends 0 attest show "$work/evidence.json" --policy "$lab/policy.cnf"
    prints 'is trusted'
    prints 'its binding was checked against the channel value in the file'
    # With another channel it is another connection's.
    sed 's/"channel": "......../"channel": "00000000/' "$work/evidence.json" \
        >"$work/other.json"
    ends 3 attest show "$work/other.json" --policy "$lab/policy.cnf"
    prints 'made for another connection'
    ends 3 attest show "$work/other.json"
    prints 'FAIL  binding'
}

test_a_policy_from_the_server() {
    ends 0 attest policy --from "localhost:$attested_port" \
        --trust "$lab/ak-roots.pem" --output "$work/new.policy.cnf"
    prints 'Compare before you use it'
    variant client new "s|^policy = .*|policy = $work/new.policy.cnf|"
    ends 0 attest check --conf "$work/new.cnf"
    prints "ok    policy: $work/new.policy.cnf"
    ends 0 attest show "localhost:$attested_port" --policy "$work/new.policy.cnf"
    accepts 'curl with it' fetch "$work/new.cnf" "https://localhost:$attested_port/page"
    ends 2 attest policy --from "localhost:$attested_port" \
        --trust "$lab/ak-roots.pem" --output "$work/new.policy.cnf"
    prints 'exists; --force writes over it'
    # PCR 8, which the lab's own policy does not name, changes.
    TPM2TOOLS_TCTI=$(<"$lab/tcti") tpm2_pcrextend \
        "8:sha256=$(printf '%064d' 1)"
    refuses 'curl with it' 'PCR 8 does not match policy' \
        fetch "$work/new.cnf" "https://localhost:$attested_port/page"
    ends 1 attest show "localhost:$attested_port" --policy "$work/new.policy.cnf"
}

test_no_policy_from_what_does_not_hold() {
    ends 1 attest policy --from "localhost:$attested_port" \
        --trust "$lab/ca.pem" --output "$work/policy.cnf"
    prints 'nothing written: '
    ends 3 attest policy --from "localhost:$plain_port" \
        --trust "$lab/ak-roots.pem" --output "$work/policy.cnf"
    [[ ! -e $work/policy.cnf ]] || fail 'written'
    [[ -z $(compgen -G "$work/policy.cnf*") ]] || fail 'a temporary file stays'
}

run_tests "$@"
