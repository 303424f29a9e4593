#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# wget, linked with OpenSSL: see scripts/build-wget. It prints all of OpenSSL's
# errors.
# shellcheck source=lib-apps.bash
. "${0%/*}/lib-apps.bash"
need curl openssl swtpm

readonly wget_refused=4 # "network failure"
status=0
wget=$("$ATTEST_SRCDIR/scripts/build-wget") || status=$?
case $status in
0) ;;
77) skip_all 'the source of wget cannot be fetched' ;;
*) bail_out 'wget does not build' ;;
esac

setup() {
    lab_up || return
    serve attested "$lab/server.cnf"
    attested_port=$port
    serve plain /dev/null -cert "$lab/plain.pem" -key "$lab/plain.key"
    plain_port=$port
}

# get CONF URL... [OPTION...]
get() {
    local conf=$1
    shift
    with "$conf" "$wget" --no-config --no-hsts --no-proxy --timeout="$seconds" --tries=1 \
        --ca-certificate="$lab/ca.pem" --no-verbose --output-document=- "$@"
}

test_P8_trusted_by_name_and_by_address() {
    local host
    for host in localhost 127.0.0.1 '[::1]'; do
        ATTEST_REPORT=stderr accepts "$host" get "$lab/client.cnf" "https://$host:$attested_port/page"
        [[ $output == *'is trusted (policy section lab, machine machine-a.attested.test'* ]] ||
            fail 'no verdict'
    done
}

test_E14_other_policy_is_refused() {
    local pcr7
    pcr7=$(sed -n 's/^pcr.7 *= *//p' "$lab/policy.cnf")
    policy_variant other-pcr 's/^pcr.7 .*/pcr.7 = '"$(printf 'ab%.0s' {1..32})/"
    refuses 'other PCR' \
        "attest::PCR 7 does not match policy: expected abababab..., got ${pcr7:0:8}..." \
        get "$work/other-pcr.cnf" "https://localhost:$attested_port/page"
    [[ $output != *'is trusted'* ]]
}

test_S19_plain_server_is_refused_whatever_wget_checks() {
    local host option status
    for host in localhost 127.0.0.1; do
        for option in --check-certificate --no-check-certificate; do
            unattested "$host" get /dev/null "https://$host:$plain_port/page" "$option"
            refuses "$host $option" 'sent no attestation evidence, which policy section lab requires' \
                get "$lab/client.cnf" "https://$host:$plain_port/page" "$option"
        done
    done
    status=0
    run get "$lab/client.cnf" "https://localhost:$plain_port/page" || status=$?
    same 'status of wget' "$wget_refused" "$status"
}

test_P12_names_alone() {
    local host port_now
    accepts 'by name' get "$lab/client-names.cnf" "https://localhost:$attested_port/page"
    refuses 'plain server by name' 'localhost sent no attestation evidence' \
        get "$lab/client-names.cnf" "https://localhost:$plain_port/page"
    for port_now in "$plain_port" "$attested_port"; do
        for host in 127.0.0.1 '[::1]'; do
            refuses "$host" 'nameless = refuse' \
                get "$lab/client-names.cnf" "https://$host:$port_now/page"
        done
    done
}

test_S2_tls12() {
    serve old "$lab/server.cnf" -tls1_2
    unattested 'TLS 1.2' get /dev/null "https://localhost:$port/page"
    refuses 'TLS 1.2' 'protocol version' get "$lab/client.cnf" "https://localhost:$port/page"
}

# Where connections end, each URL is a handshake.
test_S3_each_connection_is_appraised() {
    local url=https://localhost:$attested_port/page
    ATTEST_REPORT=$work/report accepts 'three connections' get "$lab/client.cnf" \
        --no-http-keep-alive "$url" "$url" "$url"
    same 'pages' 3 "$(grep -c "$page" <<<"$output")"
    same 'verdicts' 3 "$(grep -c '^attest: localhost is trusted' "$work/report")"
}

# With --ftps-resume-ssl the control connection gives its session to the data
# connection, where TLS 1.2 lets it have one.
test_S3_each_connection_of_ftps_is_appraised() {
    local url
    spawn ftps with_exec "$lab/server.cnf" /usr/bin/python3 \
        "$ATTEST_SRCDIR/test/apps/ftps_server.py" "$lab/server.pem" "$lab/server.key" \
        "$scratch/www/page"
    await listens "$work/ftps.log" || fail 'the FTPS server does not start'
    url=ftps://localhost:$port/page
    cat >"$work/tls12.cnf" <<END
openssl_conf = init
[init]
ssl_conf = programs
[programs]
system_default = all
[all]
MaxProtocol = TLSv1.2
END
    unattested 'FTPS' get "$work/tls12.cnf" "$url" --ftps-implicit --ftps-resume-ssl
    says "$work/ftps.log" 'data: resumed'
    : >"$work/ftps.log"
    ATTEST_REPORT=$work/report accepts 'FTPS' get "$lab/client.cnf" "$url" \
        --ftps-implicit --ftps-resume-ssl
    says "$work/ftps.log" 'data: full handshake'
    says_not "$work/ftps.log" resumed
    same 'verdicts' 2 "$(grep -c '^attest: localhost is trusted' "$work/report")"
}

# wget forks to go on in the background.
test_L3_in_the_background() {
    ATTEST_REPORT=$work/report run get "$lab/client.cnf" --background \
        --output-file="$work/wget.log" --output-document="$work/page" \
        "https://localhost:$attested_port/page" || fail 'wget ends'
    says "$work/page" "$page"
    says "$work/report" 'attest: localhost is trusted'
}

# The next wget goes by the policy that is there then.
test_P3_changed_policy() {
    local url=https://localhost:$attested_port/page
    policy_variant changing 's/^pcr.4 .*/& '"$(printf 'ab%.0s' {1..32})/"
    accepts 'policy' get "$work/changing.cnf" "$url"
    sed -i 's/^pcr.7 .*/pcr.7 = '"$(printf 'ab%.0s' {1..32})/" "$work/changing.policy.cnf"
    refuses 'changed policy' 'PCR 7 does not match policy: expected abab' \
        get "$work/changing.cnf" "$url"
}

run_tests "$@"
