#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Servers of one thread and a slow TPM: with HAProxy's ssl-mode-async and
# `openssl s_server -async` a handshake parks while its evidence is made. Clients
# that vanish meanwhile leave nothing behind. HAProxy is asked with a quoter inside,
# and in an empty chroot, as its own user, with attestd.
# shellcheck source=lib-apps.bash
. "${0%/*}/lib-apps.bash"
need haproxy curl openssl swtpm python3 prlimit
need_nobody

readonly clients=$ATTEST_SRCDIR/test/apps/async_clients.py

setup() {
    lab_up && slow slow 200 || return
    cat "$lab/server.pem" "$lab/server.key" >"$work/server.crt" || return
    haproxy_up inside "$work/slow.cnf" 2000 insecure-fork-wanted || return
    attested_port=$port
    inside=$spawned
    ((EUID == 0)) || return 0
    mkdir "$work/root" && agent_up slow || return
    haproxy_up confined "$work/slow-agent.cnf" 2000 'user haproxy' 'group haproxy' \
        "chroot $work/root" || return
    confined_port=$port
    confined=$spawned
}

# slow NAME MS: $work/NAME.cnf, a server's, with a TPM whose quotes take as long.
slow() {
    local target
    target=$(sed -n 's/.*port=\([0-9]*\)$/\1/p' "$lab/tcti")
    spawn "tpm-$1" "$ATTEST_BUILDDIR/slowtpm" "$target" "$2"
    await has "$work/tpm-$1.log" 'port ' || fail 'no slow TPM'
    variant server "$1" "s/port=$target/port=$(sed -n 's/^port //p' "$work/tpm-$1.log")/"
}

# agent_up NAME: attestd with the TPM of $work/NAME.cnf; $work/NAME-agent.cnf is
# for its servers.
agent_up() {
    local keys='ak|ak_chain|pcrs|boot_log|measured_log'
    {
        printf '[attestd]\nsocket = %s\nallow = haproxy\nlog = stderr\n' "$work/$1.sock"
        sed -n '/^\[attester_sect\]/,/^$/p' "$work/$1.cnf" | grep -E "^($keys|quoter) "
    } >"$work/$1-attestd.cnf"
    sed -E -e "s|^quoter .*|quoter = unix:$work/$1.sock|" -e "/^($keys) /d" \
        "$work/$1.cnf" >"$work/$1-agent.cnf"
    spawn "agent-$1" "$ATTEST_BUILDDIR/attestd" --config "$work/$1-attestd.cnf"
    await test -S "$work/$1.sock"
}

need_root() {
    ((EUID == 0)) || skip 'only root can change user and root'
}

# haproxy_up NAME CONF MAXCONN GLOBAL-LINE...: one thread. Sets port and spawned.
#
# HAProxy denies itself new threads, which only root is above: a quoter inside
# needs insecure-fork-wanted.
#
# It does not count wait descriptors, and ends itself when one is beyond what it
# has counted: maxpipes makes it count more. It raises the soft limit to that and
# never lowers it: with a low one, whoever opens too much is told.
haproxy_up() {
    local name=$1 maxconn=$3
    local -a global=("${@:4}")
    up "$name" "$2" write_haproxy_conf prlimit --nofile=64: haproxy -W -db -f "$work/$name.cfg"
}

write_haproxy_conf() {
    [[ ${global[*]} == *maxpipes* ]] || global+=("maxpipes $maxconn")
    cat >"$work/$name.cfg" <<END_OF_CONF
global
    log stdout format raw local0
    nbthread 1
    maxconn $maxconn
    maxsslconn $maxconn
    ssl-mode-async
$( ((EUID != 0)) || [[ ${global[*]} == *user* ]] || printf '    user nobody\n    group nogroup\n')
$(printf '    %s\n' "${global[@]}")
defaults
    mode http
    timeout connect ${seconds}s
    timeout client ${seconds}s
    timeout server ${seconds}s
frontend attested
    bind 127.0.0.1:$port ssl crt $scratch/setup/server.crt
    http-request return status 200 content-type text/plain file $scratch/www/page if { path /page }
END_OF_CONF
}

# crowd CONF PORT COUNT VANISH MS: clients at once. Sets served, refused, hundredths.
crowd() {
    run with "$1" timeout "$seconds" python3 "$clients" "$2" "$lab/ca.pem" "${@:3}" ||
        fail 'the clients fail'
    served=$(sed -n 's/^served //p' <<<"$output")
    refused=$(sed -n 's/^not served //p' <<<"$output")
    hundredths=$(sed -n 's/^seconds \([0-9]*\)\.\([0-9]*\)$/\1\2/p' <<<"$output")
}

# serves_many PORT: one after the other they would take 40 s.
serves_many() {
    ATTEST_REPORT=$work/report crowd "$lab/client.cnf" "$1" 40 0 0
    same 'served' 40 "$served"
    same 'verdicts' 40 "$(grep -c '^attest: localhost is trusted' "$work/report")"
    note "40 handshakes, quotes of 1 s: $((10#$hundredths))0 ms"
    ((10#$hundredths < 2000)) || fail 'handshakes wait for each other'
}

test_R1_one_thread_serves_many() {
    slow slower 1000
    haproxy_up slower "$work/slower.cnf" 2000 insecure-fork-wanted
    serves_many "$port"
}

test_R1_one_thread_serves_many_by_the_agent() {
    need_root
    slow slower 1000
    mkdir "$work/root"
    agent_up slower
    haproxy_up slower "$work/slower-agent.cnf" 2000 'user haproxy' 'group haproxy' \
        "chroot $work/root"
    serves_many "$port"
}

# Who does not ask for proof does not wait for the others', whose quote does not come
# as long as this test takes.
test_R1_others_are_not_delayed() {
    local i
    slow never 600000
    sed -i 's|^timeout .*|timeout = 600000|' "$work/never.cnf"
    haproxy_up never "$work/never.cnf" 2000 insecure-fork-wanted
    spawn asking with_exec "$lab/client.cnf" python3 "$clients" "$port" "$lab/ca.pem" 20 0 0
    says "$work/tpm-never.log" quote
    for i in {1..8}; do
        accepts "plain client $i" fetch /dev/null "https://localhost:$port/page"
    done
    ! grep '^served [1-9]' "$work/asking.log" || fail 'there was a quote'
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

# clients_vanish PORT MASTER
clients_vanish() {
    local worker before memory i
    accepts 'first' fetch "$lab/client.cnf" "https://localhost:$1/page"
    worker=$(worker_of "$2")
    before=$(descriptors "$worker")
    for i in {1..5}; do
        crowd "$lab/client.cnf" "$1" 100 5 400
        same 'served' 80 "$served"
    done
    # Only those who vanish; the first time it learns how many there may be.
    for i in {1..5}; do
        crowd "$lab/client.cnf" "$1" 150 1 300
        ((i > 1)) || memory=$(resident "$worker")
    done
    # The quoter's own came with the first quote.
    await has_descriptors "$worker" $((before + 2)) ||
        fail "$before descriptors became $(descriptors "$worker")"
    accepts 'afterwards' fetch "$lab/client.cnf" "https://localhost:$1/page"
    same 'worker' "$worker" "$(worker_of "$2")"
    note "memory: $memory kB; after 600 more who vanished: $(resident "$worker") kB"
    # A lost job takes 22 kB: 13 MB.
    [[ ${ATTEST_SANITIZER:-no} != no ]] || (($(resident "$worker") < memory + 6000)) ||
        fail 'memory grows'
}

test_R1_vanishing_clients() {
    clients_vanish "$attested_port" "$inside"
}

test_R1_vanishing_clients_by_the_agent() {
    need_root
    clients_vanish "$confined_port" "$confined"
}

# Without maxpipes there are two descriptors a connection: refusals say so, and
# HAProxy goes on.
test_R4_descriptors_run_out() {
    local worker master
    slow half 500
    haproxy_up few "$work/half.cnf" 60 insecure-fork-wanted 'maxpipes 1'
    master=$spawned
    accepts 'first' fetch "$lab/client.cnf" "https://localhost:$port/page"
    worker=$(worker_of "$master")
    crowd "$lab/client.cnf" "$port" 150 0 0
    note "served $served of 150"
    ((refused > 0)) || fail 'there were enough descriptors'
    says "$work/few.log" 'raise the limit of descriptors'
    same 'worker' "$worker" "$(worker_of "$master")"
    accepts 'afterwards' fetch "$lab/client.cnf" "https://localhost:$port/page"
}

test_R1_s_server() {
    local i
    serve async "$scratch/setup/slow.cnf" -async
    for i in {1..3}; do
        accepts "client $i" fetch "$lab/client.cnf" "https://localhost:$port/page"
        crowd "$lab/client.cnf" "$port" 1 1 100
    done
    accepts 'afterwards' fetch "$lab/client.cnf" "https://localhost:$port/page"
}

run_tests "$@"
