#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# openssl s_server with two contexts, of which the second is that of another
# name. Only its own options, no program around it.
# shellcheck source=lib-apps.bash
. "${0%/*}/lib-apps.bash"
need curl openssl swtpm

setup() {
    lab_up && issue_names || return
    two_contexts two one two || return
    attested_port=$port
}

# two_contexts NAME CERTIFICATE SECOND: the second is that of NAME.attested.test.
two_contexts() {
    serve "$1" "$lab/server.cnf" -cert "$certificates/$2.pem" -key "$certificates/$2.key" \
        -servername "$1.attested.test" -cert2 "$certificates/$3.pem" -key2 "$certificates/$3.key"
}

test_S8_both_are_trusted() {
    local name
    for name in one two; do
        ATTEST_REPORT=stderr accepts "$name" at "$name.attested.test" "$lab/client.cnf" -v
        [[ $output == *"subject: CN=$name"* ]] || fail 'the certificate of another name'
        [[ $output == *"$name.attested.test is trusted (policy section lab"* ]] || fail 'no verdict'
    done
    accepts 'without server name' ask "$lab/client.cnf" "$attested_port" -noservername
}

test_S8_both_are_refused() {
    local name
    policy_variant other-pcr 's/^pcr.7 .*/pcr.7 = '"$(printf 'ab%.0s' {1..32})/"
    for name in one two; do
        refuses "$name" 'PCR 7 does not match policy: expected abab' \
            at "$name.attested.test" "$work/other-pcr.cnf"
    done
}

# refused_at SERVER-PORT NAME: for its certificate.
refused_at() {
    local to="::127.0.0.1:$1"
    unattested "$2" fetch /dev/null "https://$2.attested.test:$1/page" --connect-to "$to"
    refuses "$2" 'the TLS certificate is not in the measured log: expected sha256:' \
        fetch "$lab/client.cnf" "https://$2.attested.test:$1/page" --connect-to "$to"
}

# Each is judged by its own certificate, whichever context the connection began
# with.
test_S8_the_second_is_not_measured() {
    two_contexts unmeasured one unmeasured
    refused_at "$port" unmeasured
    accepts 'the first' fetch "$lab/client.cnf" "https://one.attested.test:$port/page" \
        --connect-to "::127.0.0.1:$port"
}

test_S8_the_first_is_not_measured() {
    two_contexts two unmeasured two
    accepts 'the second' fetch "$lab/client.cnf" "https://two.attested.test:$port/page" \
        --connect-to "::127.0.0.1:$port"
    refused_at "$port" unmeasured
}

# A session of the one name is of no use for the other, or for itself.
test_S8_S3_sessions_are_no_way_round() {
    local name
    keep_session "$work/session" -servername one.attested.test
    for name in one two; do
        ATTEST_REPORT=stderr accepts "$name" ask "$lab/client.cnf" "$attested_port" \
            -sess_in "$work/session" -servername "$name.attested.test"
        same 'resumptions' 0 "$(handshakes Reused)"
        [[ $output == *"$name.attested.test is trusted"* ]] || fail 'no verdict'
    done
}

run_tests "$@"
