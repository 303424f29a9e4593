#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# nginx and attestd: Debian's nginx.conf and unit, workers of www-data.
# shellcheck source=lib-agent.bash
. "${0%/*}/lib-agent.bash"
need nginx curl openssl

service_unit=nginx
service_user=www-data
service_paths=(/etc/nginx /var/lib/nginx /var/log/nginx)
service_pid_file=/run/nginx.pid
service_threads=1

setup() {
    machine_up && issue_measured one && issue unmeasured 'DNS:unmeasured.attested.test' || return
    certificates=$work
    measured=("$work/one.pem")
    service_up nginx "$lab/service.cnf" || return
    attested_port=$port
}

write_service() {
    rm -f "$own/etc/nginx/sites-enabled/default"
    {
        site one 'localhost one.attested.test'
        site unmeasured unmeasured.attested.test
    } >"$own/etc/nginx/conf.d/attested.conf"
}

# site CERTIFICATE NAME
site() {
    cat <<END_OF_SITE
server {
    listen 127.0.0.1:$port ssl http2;
    server_name $2;
    root $scratch/www;
    ssl_certificate $certificates/$1.pem;
    ssl_certificate_key $certificates/$1.key;
}
END_OF_SITE
}

start_service() {
    "${in_unit[@]}" nginx -g 'daemon on; master_process on;'
}

reload_service() {
    OPENSSL_CONF=$lab/service.cnf "${in_unit[@]}" nginx -g 'daemon on; master_process on;' -s reload
}

workers() {
    children "$service_pid" | tr ' ' '\n'
}

# ask_agent USER CERTIFICATE: as any program of that user can.
ask_agent() {
    run setpriv --reuid="$1" --regid="$(id -g "$1")" --clear-groups -- \
        /usr/bin/python3 "${unit_library%/*}/agent_request.py" "$agent_folder/agent.sock" "$2"
}

# Who is not allowed is refused before anything is asked of the TPM; who is gets
# evidence of what has been measured, and of nothing else.
test_B4_strangers_get_no_quote() {
    local stranger unmeasured
    agent_up # with a log of its own
    kill -STOP "$(tpm_pid)"
    stranger=$(ask_agent nobody "$lab/server.pem")
    kill -CONT "$(tpm_pid)"
    # What is measured shows in the log that leads to the quoted PCR, and nowhere else.
    unmeasured=$(ask_agent www-data "$certificates/unmeasured.pem")
    [[ $stranger == *'refused not-allowed: '* ]] || fail "nobody: $stranger"
    [[ $unmeasured == *'refused '*'was not measured'* ]] || fail "not measured: $unmeasured"
    ask_agent www-data "$lab/server.pem"
    [[ $output == 'evidence '* ]] || fail 'no evidence for www-data'
    says "$work/agent.log" "uid $(id -u nobody): "
}

# The same for TLS as such: what nobody measured is no server's.
test_B4_E14_certificate_that_is_not_measured() {
    refuses 'not measured' "$alert" fetch "$lab/client.cnf" \
        "https://unmeasured.attested.test:$attested_port/page" \
        --connect-to "::127.0.0.1:$attested_port"
    service_says 'was not measured'
}

# A fifth of them goes away while its quote is being made, sooner or later.
test_R1_flood_with_clients_that_vanish() {
    local before agent_before
    before=$(lasting)
    load 60 # each worker has a connection that stays, then
    agent_before=$(footprint "$(kept agent)")
    spawn vanishing vanish 4
    load 160
    wait "$spawned"
    same 'processes' "$before" "$(lasting)"
    nobody_crashed
    await agent_has_shrunk_to "$agent_before" || fail "attestd grows: $(footprint "$(kept agent)")"
    proves_itself
}

vanish() {
    local before
    before=$(lasting)
    spawn vanishing vanish 4
    load 160
    wait "$spawned"
    same 'processes' "$before" "$(lasting)"
    nobody_crashed
    proves_itself
}

vanish() {
    local i
    for ((i = 0; i < $1; i++)); do
        fetch "$lab/client.cnf" "https://localhost:$attested_port/page?[1-10]" \
            --parallel --parallel-immediate --http1.0 --max-time "0.0$((RANDOM % 10))" || true
    done
}

# Neither the agent nor nginx is restarted. The last: the site has another
# certificate then.
test_S8_renewed_certificate() {
    renewed_certificate_is_taken_up install_renewed reload_service
}

install_renewed() {
    mv "$work/renewed.key" "$certificates/one.key"
    mv "$work/renewed.pem" "$certificates/one.pem"
}

spared=()
run_service_tests "$@"
