#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# nginx as a client of its upstreams. When one is refused, nginx says so in its
# error log; whoever asked nginx gets a 502.
# shellcheck source=lib-apps.bash
. "${0%/*}/lib-apps.bash"
need nginx curl openssl swtpm

setup() {
    lab_up || return
    serve attested "$lab/server.cnf"
    attested_port=$port
    serve plain /dev/null -cert "$lab/plain.pem" -key "$lab/plain.key"
    plain_port=$port
}

# proxy NAME CONF UPSTREAM-PORT [LINE...]: an nginx under that configuration,
# which fetches from https://127.0.0.1:UPSTREAM-PORT.
proxy() {
    cat >"$work/$1.conf" <<END
    server {
        listen 127.0.0.1:@PORT@;
        location / {
            proxy_pass https://127.0.0.1:$3;
            proxy_ssl_verify on;
            proxy_ssl_trusted_certificate $lab/ca.pem;
            proxy_ssl_name localhost;
            proxy_ssl_protocols TLSv1.2 TLSv1.3;
            ${*:4}
        }
    }
END
    nginx_up "$1" "$2" "$work/$1.conf" || fail 'nginx does not start'
}

through_proxy() {
    with /dev/null curl --silent --show-error --fail --max-time "$seconds" \
        "http://127.0.0.1:$port/page"
}

test_P8_upstreams_with_and_without_name() {
    local with_name
    for with_name in '' 'proxy_ssl_server_name on;'; do
        ATTEST_REPORT=$work/report proxy good "$lab/client.cnf" "$attested_port" "$with_name"
        accepts 'proxy' through_proxy
        same 'verdicts' 1 "$(grep -c ' is trusted (policy section lab' "$work/report")"
        rm "$work/report"
        proxy bad /dev/null "$plain_port" "$with_name"
        unattested 'plain upstream' through_proxy
        proxy bad "$lab/client.cnf" "$plain_port" "$with_name"
        refuses 'plain upstream' 'The requested URL returned error: 502' through_proxy
        says "$work/bad.log" 'sent no attestation evidence, which policy section lab requires'
    done
}

# With its default, proxy_ssl_server_name off, nginx shows the upstream's address
# alone, whatever name proxy_pass has.
test_P12_names_alone() {
    local port_now
    proxy good "$lab/client-names.cnf" "$attested_port" 'proxy_ssl_server_name on;'
    accepts 'by name' through_proxy
    proxy bad "$lab/client-names.cnf" "$plain_port" 'proxy_ssl_server_name on;'
    refuses 'plain upstream by name' 'error: 502' through_proxy
    says "$work/bad.log" 'localhost sent no attestation evidence, which policy section lab requires'
    for port_now in "$plain_port" "$attested_port"; do
        proxy nameless "$lab/client-names.cnf" "$port_now"
        sed -i 's|proxy_pass https://127.0.0.1:|proxy_pass https://localhost:|' "$work/nameless/nginx.conf"
        kill -HUP "$spawned"
        await refused_by_proxy || fail 'accepted without a name'
        says "$work/nameless.log" 'nameless = refuse'
    done
    accepts 'control' control
}

test_E14_other_policy_is_refused() {
    policy_variant other-pcr 's/^pcr.7 .*/pcr.7 = '"$(printf 'ab%.0s' {1..32})/"
    proxy other "$work/other-pcr.cnf" "$attested_port"
    refuses 'other PCR' 'error: 502' through_proxy
    # All that a line of nginx's log can hold.
    says "$work/other.log" 'attest::PCR 7 does not match policy: expected abab'
}

# nginx keeps sessions of its upstreams (proxy_ssl_session_reuse). s_server's
# status page says whether it has resumed one.
test_S3_sessions_are_no_way_round() {
    local i
    serve status "$lab/server.cnf" -www
    status_port=$port
    proxy careless /dev/null "$status_port"
    for i in 1 2 3 4 5 6; do
        run through_proxy
    done
    [[ $output == *'Reused, TLSv1.3'* ]] || fail 'nginx does not resume without attest'
    ATTEST_REPORT=$work/report proxy careful "$lab/client.cnf" "$status_port"
    for i in 1 2 3 4 5 6; do
        run through_proxy
        [[ $output == *'New, TLSv1.3'* ]] || fail 'resumed'
    done
    same 'verdicts' 6 "$(grep -c ' is trusted (policy section lab' "$work/report")"
}

# The default of this nginx, which people will meet.
test_S2_upstreams_without_tls13() {
    proxy old "$lab/client.cnf" "$attested_port"
    sed -i '/proxy_ssl_protocols/s/ TLSv1.3//' "$work/old/nginx.conf"
    kill -HUP "$spawned"
    await refused_by_proxy || fail 'nginx does not reload'
    says "$work/old.log" 'needs TLS 1.3; this program allows less: raise its maximum version'
}

refused_by_proxy() {
    ! run through_proxy && [[ $output == *'error: 502'* ]]
}

# Workers follow the policy without a reload, and through one. A policy that does
# not concern this upstream concerns none of its clients.
test_P3_changed_policies() {
    policy_variant changing 's/^pcr.4 .*/& '"$(printf 'ab%.0s' {1..32})/"
    cp "$work/changing.policy.cnf" "$work/loose"
    sed 's/^pcr.7 .*/pcr.7 = '"$(printf 'ab%.0s' {1..32})/" "$work/loose" >"$work/strict"
    proxy reloading "$work/changing.cnf" "$attested_port"
    local nginx=$spawned
    keep_asking through_proxy
    replace_policy loose "$nginx"
    all_served
    cp "$work/strict" "$work/new"
    mv "$work/new" "$work/changing.policy.cnf"
    await refused_by_proxy || fail 'the changed policy is not taken up'
    says "$work/reloading.log" 'attest::PCR 7 does not match policy: expected abab'
    accepts 'control' control
    replace_policy loose "$nginx"
    accepts 'the former policy' through_proxy
}

# replace_policy FILE NGINX-PID: and reload.
replace_policy() {
    local old
    old=$(children "$2")
    cp "$work/$1" "$work/new"
    mv "$work/new" "$work/changing.policy.cnf"
    kill -HUP "$2"
    await has_reloaded "$2" "$old" || fail 'nginx does not reload'
}

test_L3_new_workers_verify() {
    local i old worker
    ATTEST_REPORT=$work/report proxy workers "$lab/client.cnf" "$attested_port"
    for i in 1 2 3; do
        old=$(children "$spawned")
        for worker in $old; do
            kill -KILL "$worker"
        done
        await has_reloaded "$spawned" "$old" || fail 'no new workers'
        accepts 'new worker' through_proxy
        same 'verdicts' "$i" "$(grep -c ' is trusted (policy section lab' "$work/report")"
    done
}

run_tests "$@"
