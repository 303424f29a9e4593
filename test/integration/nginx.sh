#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# nginx: as a server with two names, two certificates and two workers; as a
# client of its upstreams.
# shellcheck source=lib.bash
. "${0%/*}/lib.bash"
need nginx curl openssl swtpm

setup() {
    lab_up || return
    local name
    for name in one two; do
        issue "$name" "DNS:$name.attested.test, DNS:localhost, IP:127.0.0.1, IP:::1" || return
        attest measure --conf "$lab/server.cnf" --certificate "$work/$name.pem" || return
    done
    issue unmeasured 'DNS:unmeasured.attested.test' || return
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

# nginx_up NAME CONF FILE: FILE is the http block, @PORT@ a free port. Sets port
# and spawned.
nginx_up() {
    local name=$1 conf=$2 http=$3 tries
    mkdir -p "$work/$name"
    for ((tries = 0; tries < 10; tries++)); do
        port=$(free_port)
        nginx_conf "$work/$name" "$http" >"$work/$name/nginx.conf"
        spawn "$name" with_exec "$conf" nginx -p "$work/$name" -c "$work/$name/nginx.conf" -e stderr
        await answers_or_ends "$port" || return
        ! is_running "$spawned" || return 0
        has "$work/$name.log" 'Address already in use' || return
    done
    return 1
}

nginx_conf() {
    ((EUID != 0)) || echo 'user root;'
    cat <<END
daemon off;
worker_processes 2;
error_log stderr info;
pid $1/pid;
events {}
http {
    access_log off;
    client_body_temp_path $1/temp;
    proxy_temp_path $1/temp;
    fastcgi_temp_path $1/temp;
    uwsgi_temp_path $1/temp;
    scgi_temp_path $1/temp;
$(sed "s/@PORT@/$port/" "$2")
}
END
}

answers_or_ends() {
    (: <>"/dev/tcp/127.0.0.1/$1") 2>/dev/null || ! is_running "$spawned"
}

# at NAME CONF [OPTION...]: fetch the page of that name.
at() {
    fetch "$2" "https://$1:$attested_port/page" \
        --connect-to "::127.0.0.1:$attested_port" "${@:3}"
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
    local name
    for name in one two; do
        ATTEST_REPORT=stderr accepts "$name" at "$name.attested.test" "$lab/client.cnf" -v
        [[ $output == *"subject: CN=$name"* ]] || fail 'the certificate of another name'
        [[ $output == *'is trusted'* ]] || fail 'no verdict'
    done
    unattested 'unmeasured' at unmeasured.attested.test /dev/null
    refuses 'unmeasured' 'the TLS certificate is not in the measured log: expected sha256:' \
        at unmeasured.attested.test "$lab/client.cnf"
    accepts 'unmeasured, without server name' ask "$lab/client.cnf" "$attested_port" \
        -noservername
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
    local -a urls=()
    local i requests=60
    for ((i = 0; i < requests; i++)); do
        urls+=("https://localhost:$attested_port/page?$i")
    done
    # Connections of HTTP/1.0 are for one request.
    ATTEST_REPORT=$work/report run fetch "$lab/client.cnf" "${urls[0]}" --parallel \
        --parallel-immediate --parallel-max 20 --http1.0 "${urls[@]:1}" || fail 'not all served'
    same 'pages' "$requests" "$(grep -o "$page" <<<"$output" | wc -l)"
    same 'verdicts' "$requests" "$(grep -c '^attest: localhost is trusted' "$work/report")"
}

# Clients that go away while their quote is being made.
test_R1_clients_that_vanish() {
    local i
    for ((i = 0; i < 10; i++)); do
        run fetch "$lab/client.cnf" "https://localhost:$attested_port/page?[1-10]" \
            --parallel --parallel-immediate --http1.0 --max-time "0.0$i" || true
    done
    accepts 'afterwards' at one.attested.test "$lab/client.cnf"
    same 'workers' 2 "$(workers | wc -w)"
    says_not "$scratch/setup/nginx.log" 'exited on signal'
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

workers() {
    cat "/proc/$nginx_pid/task/$nginx_pid/children"
}

# Old workers may take a moment to go.
has_reloaded() {
    local now
    now=$(workers)
    [[ $now != "$1" && $(wc -w <<<"$now") == 2 ]]
}

test_L3_L13_reloads() {
    local i before after old
    for ((i = 0; i < 6; i++)); do
        ((i != 1)) || before=$(descriptors)
        old=$(workers)
        kill -HUP "$nginx_pid"
        accepts 'during a reload' at one.attested.test "$lab/client.cnf"
        await has_reloaded "$old" || fail 'nginx does not reload'
        accepts 'after a reload' at two.attested.test "$lab/client.cnf"
    done
    after=$(descriptors)
    same 'descriptors of the master' "$before" "$after"
}

test_L3_a_new_worker_after_one_was_killed() {
    local old worker
    old=$(workers)
    for worker in $old; do
        kill -KILL "$worker"
    done
    await has_reloaded "$old" || fail 'no new workers'
    accepts 'new worker' at one.attested.test "$lab/client.cnf"
}

# proxy NAME UPSTREAM-PORT [LINE...]: an nginx under the client's configuration,
# which fetches from https://127.0.0.1:UPSTREAM-PORT.
proxy() {
    local name=$1
    {
        cat <<END
    server {
        listen 127.0.0.1:@PORT@;
        location / {
            proxy_pass https://127.0.0.1:$2;
            proxy_ssl_verify on;
            proxy_ssl_trusted_certificate $lab/ca.pem;
            proxy_ssl_name localhost;
            proxy_ssl_protocols TLSv1.2 TLSv1.3;
            ${*:3}
        }
    }
END
    } >"$work/$name.conf"
    nginx_up "$name" "$lab/client.cnf" "$work/$name.conf" || fail 'nginx does not start'
}

through_proxy() {
    with /dev/null curl --silent --show-error --fail --max-time "$seconds" \
        "http://127.0.0.1:$port/page"
}

test_P8_S3_upstreams() {
    local with_name
    serve plain /dev/null -cert "$lab/plain.pem" -key "$lab/plain.key"
    plain_port=$port
    for with_name in '' 'proxy_ssl_server_name on;'; do
        # proxy_ssl_session_reuse is on.
        ATTEST_REPORT=$work/report proxy good "$attested_port" "$with_name"
        accepts 'proxy' through_proxy
        accepts 'proxy, once more' through_proxy
        same 'verdicts' 2 "$(grep -c ' is trusted (policy section lab' "$work/report")"
        rm "$work/report"
        proxy bad "$plain_port" "$with_name"
        refuses 'proxy' 'The requested URL returned error: 502' through_proxy
        says "$work/bad.log" 'sent no attestation evidence, which policy section lab requires'
    done
}

# The default of this nginx, which people will meet.
test_S2_upstreams_without_tls13() {
    proxy old "$attested_port"
    sed -i '/proxy_ssl_protocols/s/ TLSv1.3//' "$work/old/nginx.conf"
    kill -HUP "$spawned"
    await refused_by_proxy || fail 'nginx does not reload'
    says "$work/old.log" 'needs TLS 1.3; this program allows less: raise its maximum version'
}

refused_by_proxy() {
    ! run through_proxy && [[ $output == *'error: 502'* ]]
}

run_tests "$@"
