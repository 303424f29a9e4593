#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Python's ssl, blocking and asyncio, on both sides. Its exceptions carry only the
# last of OpenSSL's errors, and that is ours (S30).
# shellcheck source=lib-apps.bash
. "${0%/*}/lib-apps.bash"
need /usr/bin/python3 curl openssl swtpm

setup() {
    lab_up && issue_names || return
    serve attested "$lab/server.cnf" || return
    attested_port=$port
    serve plain /dev/null -cert "$lab/plain.pem" -key "$lab/plain.key" || return
    plain_port=$port
}

# client CONF MODE PORT [ARGUMENT...]
client() {
    with "$1" timeout "$seconds" /usr/bin/python3 "$ATTEST_SRCDIR/test/apps/python_client.py" \
        "$2" "$lab/ca.pem" localhost "${@:3}"
}

# logging NAME CONF: $work/NAME.cnf, which logs refusals.
logging() {
    sed "s|^log .*|log = $work/$1|; s/^log_level .*/log_level = warn/" "$2" >"$work/$1.cnf"
}

test_P8_clients_are_served() {
    local mode
    for mode in blocking asyncio nameless; do
        ATTEST_REPORT=stderr accepts "$mode" client "$lab/client.cnf" "$mode" "$attested_port"
        [[ $output == *'is trusted (policy section lab'* ]] || fail 'no verdict'
    done
}

test_E14_S30_refusals_are_in_exception_and_log() {
    local mode
    policy_variant other-pcr 's/^pcr.7 .*/pcr.7 = '"$(printf 'ab%.0s' {1..32})/"
    logging plain-log "$lab/client.cnf"
    logging other-log "$work/other-pcr.cnf"
    for mode in blocking asyncio nameless; do
        : >"$work/plain-log"
        : >"$work/other-log"
        unattested "$mode" client /dev/null "$mode" "$plain_port"
        refuses "$mode" 'sent no attestation evidence, which policy section lab requires' \
            client "$work/plain-log.cnf" "$mode" "$plain_port"
        says "$work/plain-log" 'sent no attestation evidence, which policy section lab requires'
        refuses "$mode" 'PCR 7 does not match policy: expected abababab..., got ' \
            client "$work/other-log.cnf" "$mode" "$attested_port"
        says "$work/other-log" 'PCR 7 does not match policy: expected abab'
    done
}

test_P12_names_alone() {
    local mode port_now
    for mode in blocking asyncio; do
        accepts "$mode by name" client "$lab/client-names.cnf" "$mode" "$attested_port"
        refuses "$mode, plain server by name" 'localhost sent no attestation evidence' \
            client "$lab/client-names.cnf" "$mode" "$plain_port"
    done
    for port_now in "$plain_port" "$attested_port"; do
        unattested 'without server_hostname' client /dev/null nameless "$port_now"
        refuses 'without server_hostname' 'nameless = refuse' \
            client "$lab/client-names.cnf" nameless "$port_now"
    done
}

test_S3_sessions_are_no_way_round() {
    unattested 'session' client /dev/null session "$attested_port"
    [[ $output == *'resumed: True'* ]] || fail 'Python does not resume without attest'
    ATTEST_REPORT=$work/report accepts 'session' client "$lab/client.cnf" session "$attested_port"
    [[ $output == *'resumed: False'* ]] || fail 'resumed'
    same 'verdicts' 2 "$(grep -c '^attest: localhost is trusted' "$work/report")"
}

test_L3_children_of_a_client() {
    ATTEST_REPORT=$work/report accepts 'children' client "$lab/client.cnf" fork "$attested_port" 20
    same 'pages' 20 "$(grep -c "$page" <<<"$output")"
    same 'verdicts' 21 "$(grep -c '^attest: localhost is trusted' "$work/report")"
}

# A daemon's one context: to a stricter policy and back.
test_P3_a_context_follows_the_policy() {
    policy_variant changing 's/^pcr.4 .*/& '"$(printf 'ab%.0s' {1..32})/"
    sed 's/^pcr.7 .*/pcr.7 = '"$(printf 'ab%.0s' {1..32})/" "$work/changing.policy.cnf" >"$work/new"
    logging log "$work/changing.cnf"
    accepts 'before and after' client "$work/log.cnf" policy "$attested_port" "$work/new" \
        "$work/changing.policy.cnf"
    same 'pages' 3 "$(grep -c "$page" <<<"$output")"
    same 'refusals' 2 "$(grep -c '^refused: .*PCR 7 does not match policy: expected abab' <<<"$output")"
    same 'refusals in the log' 2 "$(grep -c 'PCR 7 does not match policy: expected abab' "$work/log")"
}

# server MODE: with two names. Sets attested_port.
server() {
    spawn "$1" with_exec "$lab/server.cnf" /usr/bin/python3 \
        "$ATTEST_SRCDIR/test/apps/python_server.py" "$1" "$scratch/www/page" \
        "$work/default" "two.attested.test=$certificates/two" \
        "unmeasured.attested.test=$certificates/unmeasured"
    await listens "$work/$1.log" || fail 'the server does not start'
    attested_port=$port
}

default_certificate() {
    cp "$certificates/one.pem" "$work/default.pem"
    cp "$certificates/one.key" "$work/default.key"
}

test_S8_S3_servers() {
    local mode
    default_certificate
    for mode in threads fork asyncio; do
        server "$mode"
        two_names_with_two_certificates
        other_policy_is_refused
        accepts 'client of the same kind' client "$lab/client.cnf" blocking "$attested_port"
    done
}

test_S3_sessions_of_servers_are_no_way_round() {
    local mode
    default_certificate
    for mode in threads asyncio; do
        server "$mode"
        session_is_no_way_round
    done
}

# A child for each connection, each with a quoter of its own.
test_L3_children_of_a_server() {
    default_certificate
    server fork
    load "${repeats:-40}"
}

test_S8_renewed_certificate() {
    local mode
    for mode in threads asyncio; do
        default_certificate
        server "$mode"
        python_pid=$spawned
        renewed_certificate_is_taken_up install_renewed reload
        stop "$python_pid"
    done
}

install_renewed() {
    cp "$work/renewed.pem" "$work/default.pem"
    cp "$work/renewed.key" "$work/default.key"
}

reload() {
    kill -HUP "$python_pid"
}

run_tests "$@"
