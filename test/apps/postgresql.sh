#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# PostgreSQL and psql with sslmode=verify-full. TLS begins after an SSLRequest;
# each connection is a process of its own. psql prints the first 127 octets of
# the reason.
# shellcheck source=lib-apps.bash
. "${0%/*}/lib-apps.bash"
bin=$(printf '%s\n' /usr/lib/postgresql/*/bin | sort -V | tail -n 1)
[[ -x $bin/initdb ]] || skip_all 'postgresql is missing'
need psql openssl swtpm
need_nobody

readonly password=secret
hostaddr=127.0.0.1
# Who may connect, and how.
hba=

setup() {
    lab_up || return
    as_nobody
    postgres_user=("${as_user[@]}")
    as_user=(env)
    database=$work/database
    make_database && cp -a "$database" "$work/other" &&
        install_certificate "$lab/plain" "$work/other" || return
    postgres_up attested "$lab/server.cnf" || return
    attested_port=$port
}

# One user, with a password, and one page. Its certificate is the lab's server's.
make_database() {
    printf '%s\n' "$password" >"$work/password"
    mkdir "$database" &&
        install_certificate "$lab/server" "$database" || return
    ((EUID != 0)) || chown nobody "$database" "$work/password" || return
    "${postgres_user[@]}" "$bin/initdb" --pgdata="$database/data" --no-sync --username=user \
        --pwfile="$work/password" --auth=scram-sha-256 --locale=C --encoding=UTF8 >/dev/null || return
    hba=$work/hba
    echo "hostssl all all $hostaddr/32 scram-sha-256" >"$hba"
    chmod 644 "$hba"
    printf '%s\n' "create table pages as select '$page'::text as page;" |
        "${postgres_user[@]}" "$bin/postgres" --single -D "$database/data" -c fsync=off postgres >/dev/null
}

# install_certificate PATH FOLDER: the key must be the server's own.
install_certificate() {
    cp "$1.pem" "$2/server.pem" && cp "$1.key" "$2/server.key" && chmod 600 "$2/server.key" || return
    ((EUID != 0)) || chown nobody "$2/server.pem" "$2/server.key"
}

# postgres_up NAME CONF: sets port and spawned.
postgres_up() {
    local -a as_user=("${postgres_user[@]}")
    : >"$work/$1.conf"
    up "$1" "$2" write_postgres_conf "$bin/postgres" -D "$database/data" \
        -c config_file="$work/$1.conf" || return
    await psql_ready
}

write_postgres_conf() {
    cat >"$work/$name.conf" <<END
listen_addresses = '$hostaddr'
port = $port
unix_socket_directories = ''
data_directory = '$database/data'
hba_file = '$hba'
ssl = on
ssl_cert_file = '$database/server.pem'
ssl_key_file = '$database/server.key'
max_connections = 50
fsync = off
END
    chmod 644 "$work/$name.conf"
}

psql_ready() {
    "$bin/pg_isready" --quiet --host="$hostaddr" --port="$port"
}

# psql_at CONF PORT PARAMETERS OPTION...
psql_at() {
    PGPASSWORD=$password with "$1" psql --no-psqlrc --tuples-only --no-align "${@:4}" \
        "$(address "$2") $3"
}

address() {
    printf '%s' "host=localhost hostaddr=$hostaddr port=$1 user=user dbname=postgres" \
        " sslmode=verify-full sslrootcert=$lab/ca.pem connect_timeout=$seconds"
}

# page_of CONF PORT [PARAMETERS]: what psql reads from the table.
page_of() {
    psql_at "$1" "$2" "${3:-}" --command='select page from pages'
}

control() {
    page_of "$lab/client.cnf" "$attested_port"
}

test_P8_trusted_with_and_without_name() {
    local parameter
    for parameter in '' host=$hostaddr sslsni=0 channel_binding=require; do
        ATTEST_REPORT=stderr accepts "psql $parameter" page_of "$lab/client.cnf" "$attested_port" \
            "$parameter"
        [[ $output == *'is trusted (policy section lab, machine machine-a.attested.test'* ]] ||
            fail 'no verdict'
    done
}

test_E14_other_policy_is_refused() {
    policy_variant other-pcr 's/^pcr.7 .*/pcr.7 = '"$(printf 'ab%.0s' {1..32})/"
    refuses 'other PCR' 'SSL error: PCR 7 does not match policy: expected abab' \
        page_of "$work/other-pcr.cnf" "$attested_port"
    says "$scratch/setup/attested.log" 'alert handshake failure'
}

# What psql does without verifying anything is the user's choice, but not his
# alone.
test_S19_unattested_server_is_refused() {
    local mode
    database=$scratch/setup/other postgres_up plain /dev/null
    for mode in verify-full require; do
        unattested "$mode" page_of /dev/null "$port" "sslmode=$mode"
        refuses "$mode" 'SSL error: localhost sent no attestation evidence, which policy section lab requires' \
            page_of "$lab/client.cnf" "$port" "sslmode=$mode"
    done
}

# session CONF PORT [PARAMETERS]: the page and whether it came by TLS, as t or f;
# sslmode is psql's own unless it is among the parameters.
session() {
    PGPASSWORD=$password with "$1" psql --no-psqlrc --tuples-only --no-align \
        --command='select page, ssl from pages, pg_stat_ssl where pid = pg_backend_pid()' \
        "host=localhost hostaddr=$hostaddr port=$2 user=user dbname=postgres sslrootcert=$lab/ca.pem connect_timeout=$seconds ${3:-}"
}

# A server that takes both, as Debian's does: then psql's default is to go on without
# TLS, and nothing can stop that but the user.
test_C11_what_psql_does_when_it_is_refused() {
    local refusal='SSL error: localhost sent no attestation evidence, which policy section lab requires' mode
    hba=$work/hba
    echo "host all all $hostaddr/32 scram-sha-256" >"$hba"
    chmod 644 "$hba"
    database=$scratch/setup/other postgres_up plain /dev/null
    unattested 'psql' session /dev/null "$port"
    [[ $output == *"$page|t"* ]] || fail 'psql uses no TLS'
    for mode in '' sslmode=prefer sslmode=allow; do
        accepts "psql in clear, $mode" session "$lab/client.cnf" "$port" "$mode"
        [[ $output == *"$page|f"* ]] || fail 'not in clear'
    done
    for mode in sslmode=require sslmode=verify-full; do
        unattested "$mode" session /dev/null "$port" "$mode"
        refuses "$mode" "$refusal" session "$lab/client.cnf" "$port" "$mode"
    done
    PGSSLMODE=require refuses PGSSLMODE "$refusal" session "$lab/client.cnf" "$port"
}

# check_psql OPTION...
check_psql() {
    run attest check --warn 0 "$@" || fail "attest check ends with $?"
}

test_C11_check_knows_psql() {
    local does='psql goes on in clear where a server is refused or offers no TLS, under sslmode=prefer, its default, and allow'
    check_psql --conf "$lab/client.cnf" --exec "$(command -v psql)"
    [[ $output == *"warn  program: "*"$does: no PGSSLMODE in its environment. Write sslmode=verify-full"* ]] ||
        fail 'it does not say so'
    PGSSLMODE=verify-full check_psql --conf "$lab/client.cnf" --exec "$bin/psql"
    [[ $output == *"ok    program: $bin/psql: PGSSLMODE = verify-full in its environment"* ]] ||
        fail 'it does not see it'
    [[ $output != *"$does"* ]] || fail 'it says so all the same'
    PGPASSWORD=$password spawn sleeping with_exec "$lab/client.cnf" psql --no-psqlrc \
        --command="select pg_sleep($seconds)" "$(address "$attested_port")"
    await loaded_libpq "$spawned" || fail 'psql does not start'
    check_psql --pid "$spawned"
    [[ $output == *"warn  program: $bin/$does"* ]] || fail 'it does not know the process'
}

loaded_libpq() {
    has "/proc/$1/maps" libpq.so && has "/proc/$1/maps" attest-inner.so
}

test_P12_names() {
    local no_name='nameless = refuse' parameter
    hba=$work/hba
    echo "hostssl all all $hostaddr/32 scram-sha-256" >"$hba"
    chmod 644 "$hba"
    accepts 'by name' page_of "$lab/client-names.cnf" "$attested_port"
    refuses 'an address' "$no_name" page_of "$lab/client-names.cnf" "$attested_port" host=$hostaddr
    refuses 'without SNI' "$no_name" page_of "$lab/client-names.cnf" "$attested_port" sslsni=0
    database=$scratch/setup/other postgres_up plain /dev/null
    refuses 'a plain server by name' 'localhost sent no attestation evidence' \
        page_of "$lab/client-names.cnf" "$port"
    for parameter in host=$hostaddr sslsni=0; do
        unattested "plain, $parameter" page_of /dev/null "$port" "$parameter"
        refuses "plain, $parameter" "$no_name" page_of "$lab/client-names.cnf" "$port" "$parameter"
    done
}

test_S2_tls12() {
    unattested 'TLS 1.2' page_of /dev/null "$attested_port" ssl_max_protocol_version=TLSv1.2
    refuses 'TLS 1.2' 'localhost must prove itself, which needs TLS 1.3' \
        page_of "$lab/client.cnf" "$attested_port" ssl_max_protocol_version=TLSv1.2
}

# Neither libpq nor PostgreSQL resumes sessions.
test_S3_each_connection_is_appraised() {
    local again
    again="\\connect \"$(address "$attested_port")\""
    ATTEST_REPORT=$work/report accepts 'three connections' psql_at "$lab/client.cnf" \
        "$attested_port" '' -c "$again" -c "$again" -c 'select page from pages'
    same 'verdicts' 3 "$(grep -c '^attest: localhost is trusted' "$work/report")"
    ask_postgres "$lab/client.cnf" -sess_out "$work/session"
    [[ ! -s $work/session ]] || fail 'PostgreSQL has given a session'
}

# In the same psql.
test_P3_changed_policy_is_for_new_connections() {
    local again
    again="\\connect \"$(address "$attested_port")\""
    policy_variant changing 's/^pcr.4 .*/& '"$(printf 'ab%.0s' {1..32})/"
    sed 's/^pcr.7 .*/pcr.7 = '"$(printf 'ab%.0s' {1..32})/" "$work/changing.policy.cnf" >"$work/new"
    run psql_at "$work/changing.cnf" "$attested_port" '' -c "$again" \
        -c "\\! mv $work/new $work/changing.policy.cnf; sleep 1.5" -c 'select page from pages' \
        -c "$again" -c 'select page from pages' && fail 'the change is not taken up'
    same 'pages' 1 "$(grep -c "^$page" <<<"$output")"
    [[ $output == *'SSL error: PCR 7 does not match policy: expected abab'* ]] || fail 'no reason'
}

# ask_postgres CONF [OPTION...]: shows the certificate.
ask_postgres() {
    run ask "$1" "$attested_port" -starttls postgres "${@:2}" || true
}

# Each connection forks a process, which makes a quoter of its own.
test_L3_forks_under_load() {
    local connections=${repeats:-80} clients=8 i
    local -a loads=()
    for ((i = 0; i < clients; i++)); do
        spawn "load$i" connect_often $((connections / clients))
        loads+=("$spawned")
    done
    wait "${loads[@]}"
    cat "$work"/load?.log >"$work/loads"
    same 'pages' "$connections" "$(grep -c "^$page" "$work/loads")"
    accepts 'afterwards' page_of "$lab/client.cnf" "$attested_port"
}

connect_often() {
    local i
    for ((i = 0; i < $1; i++)); do
        page_of "$lab/client.cnf" "$attested_port"
    done
}

shown_certificate() {
    ask_postgres "$lab/client.cnf"
    grep -qx "subject=CN \?= \?$1" <<<"$output"
}

reload() {
    "${postgres_user[@]}" "$bin/pg_ctl" reload --silent --pgdata="$database/data"
}

test_L3_renewed_certificate() {
    issue renewed 'DNS:localhost, IP:127.0.0.1'
    keep_asking page_of "$lab/client.cnf" "$attested_port"
    attest measure --conf "$lab/server.cnf" --certificate "$work/renewed.pem"
    install_certificate "$work/renewed" "$database"
    reload
    await shown_certificate renewed || fail 'the renewed certificate is not taken up'
    all_served
}

# Before it is measured nobody believes it, and no reload is needed after.
test_E14_certificate_that_is_not_measured() {
    issue hasty 'DNS:localhost, IP:127.0.0.1'
    install_certificate "$work/hasty" "$database"
    reload
    await refused_for 'the TLS certificate is not in the measured log: expected sha256:' ||
        fail 'not refused'
    attest measure --conf "$lab/server.cnf" --certificate "$work/hasty.pem"
    accepts 'measured' page_of "$lab/client.cnf" "$attested_port"
    shown_certificate hasty || fail 'another certificate'
}

refused_for() {
    ! run page_of "$lab/client.cnf" "$attested_port" && [[ $output == *"$1"* ]]
}

run_tests "$@"
