#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# nginx as a server with two names, two certificates and two workers.
# shellcheck source=lib-apps.bash
. "${0%/*}/lib-apps.bash"
need nginx curl openssl swtpm

setup() {
    lab_up && issue_names || return
    sites >"$work/sites.conf"
    nginx_up nginx "$lab/server.cnf" "$work/sites.conf" || return
    nginx_pid=$spawned
    attested_port=$port
}

# site NAME SERVER-NAMES
site() {
    cat <<END
    server {
        listen 127.0.0.1:@PORT@ ssl http2;
        listen [::1]:@PORT@ ssl http2;
        server_name $2;
        ssl_certificate $work/$1.pem;
        ssl_certificate_key $work/$1.key;
        ssl_protocols TLSv1.2 TLSv1.3;
    }
END
}

sites() {
    echo "root $scratch/www;"
    site one 'localhost one.attested.test'
    site two two.attested.test
    site unmeasured unmeasured.attested.test
}

test_http1_and_http2_by_name_and_by_address() {
    local host version
    for host in localhost 127.0.0.1 '[::1]'; do
        for version in --http1.1 --http2; do
            ATTEST_REPORT=stderr accepts "$host $version" fetch "$lab/client.cnf" \
                "https://$host:$attested_port/page" "$version" -w '%{http_version}\n'
            [[ $output == *'is trusted (policy section lab'* ]] || fail 'no verdict'
            grep -qx "${version#--http}\(\.1\)\?" <<<"$output" || fail 'other version of HTTP'
        done
    done
}

test_S8_two_names_with_two_certificates() {
    two_names_with_two_certificates
}

test_E14_other_policy_is_refused() {
    other_policy_is_refused
}

test_B1_each_handshake_has_a_quote_of_its_own() {
    local i handshakes=100
    [[ ${ATTEST_SANITIZER:-no} == no ]] || handshakes=20 # the command is slow then
    for ((i = 0; i < handshakes; i++)); do
        attest show --json "localhost:$attested_port"
    done >"$work/shown"
    sed -n 's/.*"extra_data":"\([0-9a-f]*\)".*/\1/p' "$work/shown" >"$work/extra"
    same 'quotes' "$handshakes" "$(grep -cE '^[0-9a-f]{64}$' "$work/extra")"
    same 'different quotes' "$handshakes" "$(sort -u "$work/extra" | wc -l)"
    same 'with the binding checked' "$handshakes" "$(grep -c '"binding_checked":true' "$work/shown")"
}

test_R1_many_handshakes_at_once() {
    load 60
}

# Clients that go away while their quote is being made.
test_R1_clients_that_vanish() {
    local i
    for ((i = 0; i < 10; i++)); do
        run fetch "$lab/client.cnf" "https://localhost:$attested_port/page?[1-10]" \
            --parallel --parallel-immediate --http1.0 --max-time "0.0$i" || true
    done
    accepts 'afterwards' at one.attested.test "$lab/client.cnf"
    same 'workers' 2 "$(children "$nginx_pid" | wc -w)"
    says_not "$scratch/setup/nginx.log" 'exited on signal'
}

test_S3_sessions_are_no_way_round() {
    session_is_no_way_round
}

test_S3_clients_that_do_not_ask_are_served_as_ever() {
    local version
    for version in -tls1_2 -tls1_3; do
        unattested "$version" ask /dev/null "$attested_port" "$version" -sess_out "$work/session"
        unattested "$version" ask /dev/null "$attested_port" "$version" -sess_in "$work/session"
        [[ $output == *Reused* ]] || fail 'sessions do not resume any more'
        accepts "$version session" ask "$lab/client.cnf" "$attested_port" -sess_in "$work/session"
        [[ $output == *'New, TLSv1.3'* ]] || fail 'a session was resumed without verdict'
    done
}

descriptors() {
    # shellcheck disable=SC2012 # numbers
    ls "/proc/$nginx_pid/fd" | wc -l
}

reload() {
    kill -HUP "$nginx_pid"
}

# Each has two new workers, which make quoters of their own while clients ask.
# With HTTP/2 this nginx may hang up on a new connection when it reloads.
test_L3_L13_reloads() {
    local i before after old reloads=${repeats:-6}
    keep_asking at two.attested.test "$lab/client.cnf" --http1.1
    for ((i = 0; i < reloads; i++)); do
        ((i != 1)) || before=$(descriptors)
        old=$(children "$nginx_pid")
        reload
        accepts 'during a reload' at one.attested.test "$lab/client.cnf" --http1.1
        await has_reloaded "$nginx_pid" "$old" || fail 'nginx does not reload'
        accepts 'after a reload' at two.attested.test "$lab/client.cnf"
    done
    after=$(descriptors)
    same 'descriptors of the master' "$before" "$after"
    all_served
}

test_L3_new_workers_after_some_were_killed() {
    local i old worker
    for ((i = 0; i < ${repeats:-20}; i++)); do
        old=$(children "$nginx_pid")
        for worker in $old; do
            kill -KILL "$worker"
        done
        await has_reloaded "$nginx_pid" "$old" || fail 'no new workers'
        ATTEST_REPORT=stderr accepts 'new worker' at one.attested.test "$lab/client.cnf"
        [[ $output == *'is trusted'* ]] || fail 'no verdict'
    done
}

# The last: site one is another one then.
test_S8_renewed_certificate() {
    renewed_certificate_is_taken_up install_renewed reload
}

install_renewed() {
    mv "$work/renewed.key" "$certificates/one.key"
    mv "$work/renewed.pem" "$certificates/one.pem"
}

run_tests "$@"
