#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Resumption has no Certificate message, so nothing in it proves anything: no
# session is resumed without a verdict, and no early data leave before one.
# shellcheck source=lib.bash
. "${0%/*}/lib.bash"
need openssl curl swtpm

setup() {
    lab_up || return
    serve attested "$lab/server.cnf"
    attested_port=$port
}

# s_client reconnects before tickets of TLS 1.3 can arrive.
test_S3_S13_in_one_process() {
    unattested 'reconnect' ask /dev/null "$attested_port" -reconnect -tls1_2
    same 'resumptions without attest' 5 "$(handshakes Reused)"
    ATTEST_REPORT=stderr accepts 'reconnect' ask "$lab/client.cnf" "$attested_port" -reconnect
    same 'resumptions' 0 "$(handshakes Reused)"
    same 'full handshakes' 6 "$(handshakes New)"
    same 'verdicts' 6 "$(grep -c '^attest: localhost is trusted' <<<"$output")"
}

test_S3_in_one_process_of_curl() {
    local url
    serve status "$lab/server.cnf" -www
    url=https://localhost:$port/
    run fetch /dev/null "$url" "$url" --http1.0
    [[ $output == *'Reused, TLSv1.3'* ]] || fail 'curl does not resume without attest'
    ATTEST_REPORT=$work/report run fetch "$lab/client.cnf" "$url" "$url" --http1.0
    [[ $output != *'Reused, TLSv1.3'* ]] || fail 'resumed'
    same 'full handshakes' 2 "$(grep -c '^New, TLSv1.3' <<<"$output")"
    same 'verdicts' 2 "$(grep -c '^attest: localhost is trusted' "$work/report")"
}

test_S3_from_a_file() {
    accepts 'first connection' ask "$lab/client.cnf" "$attested_port" -sess_out "$work/own"
    keep_session "$work/foreign"
    for session in own foreign; do
        ATTEST_REPORT=stderr accepts "$session session" \
            ask "$lab/client.cnf" "$attested_port" -sess_in "$work/$session"
        same "full handshakes with the $session session" 1 "$(handshakes New)"
        [[ $output == *'is trusted'* ]] || fail 'no verdict'
    done
}

test_S3_under_another_name() {
    keep_session "$work/session"
    ATTEST_REPORT=stderr accepts 'other name' ask "$lab/client.cnf" "$attested_port" \
        -sess_in "$work/session" -servername attested.test
    same 'full handshakes' 1 "$(handshakes New)"
    [[ $output == *'attested.test is trusted'* ]] || fail 'no verdict'
}

test_S3_of_tls12() {
    keep_session "$work/session" -tls1_2
    accepts 'session of TLS 1.2' ask "$lab/client.cnf" "$attested_port" -sess_in "$work/session"
    [[ $output == *'New, TLSv1.3'* ]] || fail 'no full handshake of TLS 1.3'
}

test_S3_after_a_change_of_policy() {
    accepts 'first connection' ask "$lab/client.cnf" "$attested_port" -sess_out "$work/session"
    policy_variant stricter 's/^pcr.4 .*/pcr.4 = '"$(printf 'ab%.0s' {1..32})/"
    refuses 'session from before' 'PCR 4 does not match policy: expected abab' \
        ask "$work/stricter.cnf" "$attested_port" -sess_in "$work/session"
}

test_S18_nothing_is_kept_of_a_refused_server() {
    serve plain /dev/null -cert "$lab/plain.pem" -key "$lab/plain.key"
    refuses 'plain server' 'sent no attestation evidence' \
        ask "$lab/client.cnf" "$port" -sess_out "$work/session"
    [[ ! -e $work/session ]] || fail 'the session of a refused server was kept'
    # Of before it was required.
    unattested 'plain server' ask /dev/null "$port" -sess_out "$work/session"
    refuses 'its session' 'sent no attestation evidence' \
        ask "$lab/client.cnf" "$port" -sess_in "$work/session"
}

test_S3_observe_lets_sessions_be() {
    policy_variant observe 's/^mode .*/mode = observe/'
    keep_session "$work/session"
    accepts 'observed' ask "$work/observe.cnf" "$attested_port" -sess_in "$work/session"
    same 'resumptions' 1 "$(handshakes Reused)"
}

# A server that takes early data, which excludes -WWW: it sends what it is given.
serve_early() {
    local input=$work/input
    mkfifo "$input"
    # Nobody may find its end.
    exec {early_input}<>"$input"
    serve early "$lab/server.cnf" -early_data
}

# Give the client the page, and end the connection when it has it: a line with q
# is s_server's command to hang up.
answer() {
    printf '%s\n' "$page" >&"$early_input"
    await has "$work/output" "$page"
    printf 'q\n' >&"$early_input"
}

# early CONF [OPTION...]: a connection that works, whatever s_client says of the
# way it ended.
early() {
    : >"$work/output"
    spawn answer answer
    run ask "$1" "$port" "${@:2}" || true
    stop "$spawned"
    [[ $output == *"$page"* ]] || fail 'no page'
}

test_S5_S22_no_early_data_before_the_verdict() {
    local secret='The secret of an early client'
    printf '%s\n' "$secret" >"$work/early"
    serve_early
    early /dev/null -sess_out "$work/session"
    early /dev/null -sess_in "$work/session" -early_data "$work/early"
    [[ $output == *'Early data was accepted'* ]] || fail 'no early data without attest'
    says "$work/early.log" "$secret"
    : >"$work/early.log"

    early "$lab/client.cnf" -sess_out "$work/session"
    # Not sent before the verdict, nor after it: a full handshake takes none.
    run ask "$lab/client.cnf" "$port" -sess_in "$work/session" -early_data "$work/early" || true
    [[ $output != *'Early data was accepted'* ]] || fail 'early data was accepted'
    says_not "$work/early.log" "$secret"
}

# OpenSSL then fails without a word, after our last callback: the log must do.
test_S5_early_data_that_is_not_sent_is_explained() {
    printf 'early\n' >"$work/early"
    serve_early
    early /dev/null -sess_out "$work/session"
    variant client log "s|^log .*|log = $work/log|" 's/^log_level .*/log_level = info/'
    run ask "$work/log.cnf" "$port" -sess_in "$work/session" -early_data "$work/early" || true
    says "$work/log" 'early data'
}

run_tests "$@"
