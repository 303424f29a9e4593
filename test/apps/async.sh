#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Servers of one thread and a slow TPM: with HAProxy's ssl-mode-async and
# `openssl s_server -async` a handshake parks while its evidence is made. Clients
# that vanish meanwhile leave nothing behind.
# shellcheck source=lib-apps.bash
. "${0%/*}/lib-apps.bash"
need haproxy curl openssl swtpm python3
need_nobody

readonly clients=${0%/*}/async_clients.py

setup() {
    lab_up && slow slow 200 || return
    cat "$lab/server.pem" "$lab/server.key" >"$work/server.crt" || return
    haproxy_up haproxy "$work/slow.cnf" 2000 || return
    haproxy_pid=$spawned
    attested_port=$port
}

# slow NAME MS: $work/NAME.cnf, a server's, with a TPM whose quotes take as long.
slow() {
    local target
    target=$(sed -n 's/.*port=\([0-9]*\)$/\1/p' "$lab/tcti")
    spawn "tpm-$1" "$ATTEST_BUILDDIR/slowtpm" "$target" "$2"
    await has "$work/tpm-$1.log" 'port ' || fail 'no slow TPM'
    variant server "$1" "s/port=$target/port=$(sed -n 's/^port //p' "$work/tpm-$1.log")/"
}

# haproxy_up NAME CONF MAXCONN [GLOBAL-LINE]: one thread. Sets port and spawned.
#
# HAProxy does not count wait descriptors, and ends itself when one is beyond what
# it has counted. It raises the soft limit to that and never lowers it: so it gets
# a low one, and whoever opens too much is told.
haproxy_up() {
    local name=$1 maxconn=$3 line=${4:-maxpipes $3}
    up "$name" "$2" write_haproxy_conf prlimit --nofile=64: haproxy -W -db -f "$work/$name.cfg"
}

# It denies itself new threads, which only root is above: a quoter inside needs
# insecure-fork-wanted.
write_haproxy_conf() {
    cat >"$work/$name.cfg" <<END
global
    log stdout format raw local0
    nbthread 1
    maxconn $maxconn
    $line
    ssl-mode-async
    insecure-fork-wanted
$( ((EUID != 0)) || printf '    user nobody\n    group nogroup\n')
defaults
    mode http
    timeout connect ${seconds}s
    timeout client ${seconds}s
    timeout server ${seconds}s
frontend attested
    bind 127.0.0.1:$port ssl crt $scratch/setup/server.crt
    http-request return status 200 content-type text/plain file $scratch/www/page if { path /page }
END
}

# crowd CONF PORT COUNT VANISH MS: clients at once. Sets served, refused, hundredths.
crowd() {
    run with "$1" timeout "$seconds" python3 "$clients" "$2" "$lab/ca.pem" "${@:3}" ||
        fail 'the clients fail'
    served=$(sed -n 's/^served //p' <<<"$output")
    refused=$(sed -n 's/^not served //p' <<<"$output")
    hundredths=$(sed -n 's/^seconds \([0-9]*\)\.\([0-9]*\)$/\1\2/p' <<<"$output")
}

# One after the other they would take 8 s.
test_R1_one_thread_serves_many() {
    ATTEST_REPORT=$work/report crowd "$lab/client.cnf" "$attested_port" 40 0 0
    same 'served' 40 "$served"
    same 'verdicts' 40 "$(grep -c '^attest: localhost is trusted' "$work/report")"
    note "40 handshakes, quotes of 200 ms: ${hundredths}0 ms"
    ((10#$hundredths < 400)) || fail 'handshakes wait for each other'
}

# Who does not ask for proof does not wait for the others'.
test_R1_others_are_not_delayed() {
    local i begin took
    slow slower 2000
    haproxy_up slower "$work/slower.cnf" 2000
    spawn asking crowd "$lab/client.cnf" "$port" 20 0 0
    sleep 0.5
    begin=${EPOCHREALTIME/./}
    for i in {1..8}; do
        accepts "plain client $i" fetch /dev/null "https://localhost:$port/page"
    done
    took=$(((${EPOCHREALTIME/./} - begin) / 1000))
    note "8 plain handshakes beside quotes of 2 s: $took ms"
    ((took < 8000)) || fail 'plain clients wait for quotes'
}

worker_of() {
    children "$1" | tr -d ' '
}

descriptors() {
    find "/proc/$1/fd" -mindepth 1 | wc -l
}

resident() {
    sed -n 's/^VmRSS:[^0-9]*\([0-9]*\) kB$/\1/p' "/proc/$1/status"
}

# HAProxy frees what it parked for a client that is gone once the quote is there.
has_descriptors() {
    (($(descriptors "$1") <= $2))
}

test_R1_vanishing_clients() {
    local worker before memory i
    worker=$(worker_of "$haproxy_pid")
    crowd "$lab/client.cnf" "$attested_port" 100 5 400
    same 'served' 80 "$served"
    sleep 1
    before=$(descriptors "$worker")
    memory=$(resident "$worker")
    for i in {1..4}; do
        crowd "$lab/client.cnf" "$attested_port" 100 5 400
        same 'served' 80 "$served"
    done
    # Only those who vanish.
    for i in {1..4}; do
        crowd "$lab/client.cnf" "$attested_port" 150 1 300
    done
    await has_descriptors "$worker" "$before" ||
        fail "$before descriptors became $(descriptors "$worker")"
    accepts 'afterwards' control
    same 'worker' "$worker" "$(worker_of "$haproxy_pid")"
    note "memory: $memory kB, after 680 who vanished: $(resident "$worker") kB"
    # A lost job would be 36 kB: 24 MB.
    (($(resident "$worker") < memory + 12000)) || fail 'memory grows'
}

# Without maxpipes there are two descriptors a connection: refusals say so, and
# HAProxy goes on.
test_R4_descriptors_run_out() {
    local worker haproxy_pid
    slow half 500
    haproxy_up few "$work/half.cnf" 60 'maxpipes 1'
    haproxy_pid=$spawned
    worker=$(worker_of "$haproxy_pid")
    accepts 'first' fetch "$lab/client.cnf" "https://localhost:$port/page"
    crowd "$lab/client.cnf" "$port" 150 0 0
    note "served $served of 150"
    ((refused > 0)) || fail 'there were enough descriptors'
    says "$work/few.log" 'raise the limit of descriptors'
    same 'worker' "$worker" "$(worker_of "$haproxy_pid")"
    accepts 'afterwards' fetch "$lab/client.cnf" "https://localhost:$port/page"
}

test_R1_s_server() {
    local i
    serve async "$work/../setup/slow.cnf" -async
    for i in {1..3}; do
        accepts "client $i" fetch "$lab/client.cnf" "https://localhost:$port/page"
        crowd "$lab/client.cnf" "$port" 1 1 100
    done
    accepts 'afterwards' fetch "$lab/client.cnf" "https://localhost:$port/page"
}

run_tests "$@"
