# SPDX-License-Identifier: BSD-2-Clause
# curl, which has never heard of attest.
# shellcheck source-path=SCRIPTDIR source=lib.bash
. "${0%/*}/lib.bash"
need curl swtpm

setup() {
    lab_up || return
    serve attested "$lab/server.cnf"
    attested_port=$port
    serve plain /dev/null -cert "$lab/plain.pem" -key "$lab/plain.key"
    plain_port=$port
}

test_trusted_by_name_and_by_address() {
    local host
    for host in localhost 127.0.0.1 '[::1]'; do
        ATTEST_REPORT=stderr accepts "$host" \
            fetch "$lab/client.cnf" "https://$host:$attested_port/page"
        [[ $output == *'is trusted (policy section lab, machine machine-a.attested.test'* ]] ||
            fail "$host: no verdict in the report"
    done
}

test_S19_k_does_not_turn_attestation_off() {
    local host
    for host in localhost 127.0.0.1 '[::1]'; do
        refuses "$host" 'sent no attestation evidence, which policy section lab requires' \
            fetch "$lab/client.cnf" "https://$host:$plain_port/page" -k
    done
}
run_tests "$@"
