#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# PostgreSQL and attestd: a cluster as Debian makes it, in its unit, and psql.
# pg_ctlcluster gives the server the environment that the cluster's own file
# names, and nothing of the unit's.
# shellcheck source=lib-agent.bash
. "${0%/*}/lib-agent.bash"
need psql pg_createcluster pg_ctlcluster openssl

service_unit=postgresql@
service_program=postgres
service_user=postgres
service_threads=1
service_paths=(/etc/postgresql /etc/postgresql-common /var/log/postgresql)
service_new_paths=(/var/lib/postgresql)
version=$(find /usr/lib/postgresql -mindepth 1 -maxdepth 1 -printf '%f\n' | sort -V | tail -n 1)
service_pid_file=/run/postgresql/$version-main.pid
readonly password=secret

setup() {
    machine_up && service_up postgresql "$lab/service.cnf" || return
    attested_port=$port
}

prepare_service() {
    local name
    rm -rf "$own"/etc/postgresql/*
    install -d -o postgres -g postgres -m 2775 "$own/run/postgresql"
    "${in_unit[@]}" pg_createcluster "$version" main -- --no-sync >"$own.created.log" || return
    for name in server.pem server.key; do
        install -o postgres -g postgres -m 600 "$lab/$name" "$own/etc/postgresql/$version/main" || return
    done
    printf '%s\n' "create role client login password '$password';" \
        "create table pages as select '$page'::text as page;" \
        'grant select on pages to client;' |
        "${in_unit[@]}" setpriv --reuid=postgres --regid=postgres --init-groups -- \
            "/usr/lib/postgresql/$version/bin/postgres" --single -c fsync=off \
            -D "/var/lib/postgresql/$version/main" \
            -c "config_file=/etc/postgresql/$version/main/postgresql.conf" postgres >>"$own.created.log" 2>&1
}

# A query ends with its client: connect_client()'s would take a minute.
write_service() {
    local folder=/etc/postgresql/$version/main
    cat >"$own$folder/conf.d/attested.conf" <<END_OF_CONF
port = $port
fsync = off
client_connection_check_interval = 100ms
ssl = on
ssl_cert_file = '$folder/server.pem'
ssl_key_file = '$folder/server.key'
END_OF_CONF
}

start_service() {
    local assignment
    for assignment in "${sanitizer[@]:1}" ${OPENSSL_CONF:+"OPENSSL_CONF=$OPENSSL_CONF"}; do
        printf "%s = '%s'\n" "${assignment%%=*}" "${assignment#*=}"
    done >"$own/etc/postgresql/$version/main/environment"
    "${in_unit[@]}" pg_ctlcluster --skip-systemctl-redirect "$version-main" start
}

# Done when it has said so: its processes stay.
reload_service() {
    before_reload=$(reloads_said)
    "${in_unit[@]}" pg_ctlcluster --skip-systemctl-redirect "$version-main" reload
}

is_reloaded() {
    (($(reloads_said) > before_reload))
}

reloads_said() {
    grep -c 'received SIGHUP' "$own/var/log/postgresql/postgresql-$version-main.log" || true
}

page_from() {
    client "$1" "$2" 'select page from pages'
}

# client CONF PORT SQL, by with() or by what $starts names.
client() {
    PGPASSWORD=$password "${starts:-with}" "$1" psql --no-psqlrc --tuples-only --no-align --command="$3" \
        "host=localhost hostaddr=127.0.0.1 port=$2 user=client dbname=postgres$(
            printf ' %s' sslmode=verify-full "sslrootcert=$lab/ca.pem" "connect_timeout=$seconds"
        )"
}

connect_client() {
    starts=with_exec spawn staying client "$lab/client.cnf" "$attested_port" 'select pg_sleep(60)'
    await is_connected
}

is_connected() {
    [[ -n $(workers) ]]
}

# A process a connection: that of a client who stays.
workers() {
    local pid
    for pid in $(children "$service_pid"); do
        ! LC_ALL=C grep -aqs '^postgres: .*client postgres ' "/proc/$pid/cmdline" || printf '%d\n' "$pid"
    done
}

# What lasts is the server itself and what it starts for itself.
lasting() {
    local pid
    printf '%d\n' "$service_pid"
    for pid in $(children "$service_pid"); do
        ! LC_ALL=C grep -aqsE '^postgres: [0-9/a-z]+: (checkpointer|walwriter)' "/proc/$pid/cmdline" ||
            printf '%d\n' "$pid"
    done
}

# One killed backend ends them all.
lost+='|EOF detected|could not (receive|send) data|server closed the connection|the database system is (in recovery mode|starting up|not yet accepting connections)|terminating connection'

run_service_tests "$@"
