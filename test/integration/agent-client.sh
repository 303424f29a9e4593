#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Servers with quoter = unix: and attestd: served, killed, hung, out of reach; by
# the socket's path and, where that is gone, through the standing connection.
# shellcheck source=lib.bash
. "${0%/*}/lib.bash"
need curl openssl swtpm tpm2_getcap
((EUID == 0)) || skip_all 'chroot and setuid need root'
# Not one of a home folder, where nobody may look.
python=$(PATH=/usr/bin:/bin command -v python3) || skip_all 'python3 is missing'
readonly python

# The socket is in no test's folder: servers of the file's use it too.
socket_folder=
socket=

setup() {
    lab_up || return
    socket_folder=$scratch/run
    socket=$socket_folder/agent.sock
    mkdir -m 755 "$socket_folder"
    # Its own TPM, whatever becomes of the agent.
    serve attested "$lab/server.cnf"
    attested_port=$port
    keep attested "$spawned"
}

# start_agent [LINE...]: attestd with the lab's TPM.
start_agent() {
    {
        printf '[attestd]\nsocket = %s\n' "$socket"
        grep -E '^(quoter|ak|ak_chain|pcrs|boot_log|measured_log) ' "$lab/server.cnf"
        printf '%s\n' "$@"
    } >"$work/attestd.cnf"
    spawn agent attestd_exec
    says "$work/agent.log" 'listening on'
}

attestd_exec() {
    exec "$ATTEST_BUILDDIR/attestd" --config "$work/attestd.cnf"
}

kill_agent() {
    local pid=${pids[agent]}
    kill -KILL "$pid"
    wait "$pid" 2>/dev/null || true
    unset 'pids[agent]'
}

# serve_agents NAME [SED-COMMAND...]: s_server whose quoter is the agent. The keys
# of a TPM that is in reach stay beside it.
serve_agents() {
    local name=$1
    shift
    variant server "$name" "s|^quoter.*|quoter = unix:$socket|" "$@"
    serve "$name" "$work/$name.cnf" "${server_options[@]}"
}

server_options=()

# serve_confined NAME WORKERS
serve_confined() {
    mkdir -p "$work/empty"
    variant server "$1" "s|^quoter.*|quoter = unix:$socket|"
    spawn "$1" with_exec "$work/$1.cnf" "$python" \
        "$ATTEST_SRCDIR/test/integration/confined_server.py" "$lab/server.pem" \
        "$lab/server.key" "$work/empty" "$2" "$page"
    await listens "$work/$1.log" || fail "$1 does not start"
}

page_of() {
    fetch "$lab/client.cnf" "https://localhost:$port/page"
}

served() {
    run page_of
}

# refused_here WHAT LOG REASON: the client gets an alert, the server's log the
# reason, and who does not ask is served.
refused_here() {
    refuses "$1" 'alert internal error' page_of
    says "$work/$2.log" "$3"
    unattested "$1, who does not ask" fetch /dev/null "https://localhost:$port/page"
}

test_served_by_the_agent() {
    start_agent
    serve_agents agents
    accepts 'by the agent' page_of
    accepts 'and again' page_of
    says_not "$work/agents.log" 'refused'
}

# Nothing falls back to the TPM, which is in reach, with all its keys beside unix:.
test_T5_killed_and_back_within_a_second() {
    local began
    start_agent
    serve_agents agents
    accepts 'before' page_of
    kill_agent
    refused_here 'agent killed' agents \
        "handshake refused: no agent listens at $socket (Connection refused): see systemctl status attestd"
    start_agent
    began=$(date +%s%N)
    await served || fail 'not served again'
    began=$((($(date +%s%N) - began) / 1000000))
    note "served again $began ms after attestd listens"
    ((began < 1000)) || fail "served again after $began ms"
    # The standing connection is open again, too: the path may go.
    mv "$socket" "$socket.away"
    accepts 'by the new standing connection' page_of
    mv "$socket.away" "$socket"
}

test_never_started() {
    serve_agents agents
    refused_here 'no agent' agents \
        "handshake refused: no agent at $socket (No such file or directory): systemctl start attestd.socket"
    # A client that proves nothing has nothing to say of it.
    variant client clients "s|^verifier .*|&\nattester = attester_sect|" \
        "\$a [attester_sect]\nquoter = unix:$socket\n"
    accepts 'a client of the same machine' \
        fetch "$work/clients.cnf" "https://localhost:$attested_port/page"
    [[ $output != *agent* ]] || fail 'a client tells of the agent'
}

test_T4_hung() {
    local began=$SECONDS
    start_agent
    serve_agents agents 's|^timeout.*|timeout = 700|'
    accepts 'before' page_of
    kill -STOP "${pids[agent]}"
    trap 'kill -CONT "${pids[agent]}"; stop_all' EXIT
    refused_here 'agent stopped' agents \
        'handshake refused: the agent gave no evidence within 700 ms: see journalctl -u attestd'
    ((SECONDS - began < 15)) || fail "took $((SECONDS - began)) s"
    kill -CONT "${pids[agent]}"
    await served || fail 'not served again'
}

# The agent's own words reach the server's log.
test_B4_agent_refuses() {
    start_agent
    cp "$lab/server.key" "$work/server.key"
    chmod 644 "$work/server.key"
    server_options=(-cert "$lab/server.pem" -key "$work/server.key")
    as_nobody
    serve_agents agents
    as_user=(env)
    refused_here 'not allowed' agents \
        'handshake refused: user 65534 may not ask this agent: add it to allow in'
    serve plain "$work/agents.cnf" -cert "$lab/plain.pem" -key "$lab/plain.key"
    refuses 'not measured' 'alert internal error' \
        fetch "$lab/client.cnf" "https://localhost:$port/page"
    says "$work/plain.log" 'handshake refused: certificate sha256:'
}

test_C8_confined_servers_use_the_standing_connection() {
    local i
    start_agent 'allow = nobody'
    serve_confined confined 4
    for ((i = 0; i < 20; i++)); do
        accepts "handshake $i" page_of
    done
    says_not "$work/confined.log" 'refused'
    # All workers at once.
    for ((i = 0; i < 16; i++)); do
        spawn "client$i" page_of
    done
    for ((i = 0; i < 16; i++)); do
        wait "${pids[client$i]}" || fail "client $i is refused"
        has "$work/client$i.log" "$page" || fail "client $i: no page"
        unset "pids[client$i]"
    done
    # The agent comes back, but the path is out of reach: it says what to do.
    kill_agent
    start_agent 'allow = nobody'
    refused_here 'agent restarted' confined \
        "handshake refused: no agent at $socket (No such file or directory) in this chroot: bind its folder there (BindReadOnlyPaths=), or restart this program"
    serve_confined confined 4
    accepts 'after the server was restarted' page_of
}

# The standing connection was opened as root, which gives the workers no right.
test_B4_workers_of_a_master_that_is_root() {
    start_agent
    serve_confined confined 2
    refused_here 'not allowed' confined \
        'handshake refused: user 65534 may not ask this agent: add it to allow in'
}

# What the reason advises: the folder in the chroot.
test_C8_bound_into_the_chroot() {
    start_agent 'allow = nobody'
    mkdir -p "$work/empty$socket_folder"
    mount --bind -o ro "$socket_folder" "$work/empty$socket_folder" ||
        skip 'no mounts here'
    trap 'umount -l "$work/empty$socket_folder"; stop_all' EXIT
    serve_confined confined 2
    accepts 'before' page_of
    kill_agent
    start_agent 'allow = nobody'
    await served || fail 'not served again'
}

# Killed under load, three times: whoever is not served is refused, at once.
test_T5_killed_under_load() {
    local i client
    start_agent
    serve_agents agents
    accepts 'before' page_of
    for ((client = 0; client < 4; client++)); do
        spawn "load$client" load
    done
    for ((i = 0; i < 3; i++)); do
        sleep 0.5
        kill_agent
        sleep 0.2
        start_agent
    done
    await served || fail 'not served again'
    for ((client = 0; client < 4; client++)); do
        wait "${pids[load$client]}" || fail "a client of load $client hung"
        unset "pids[load$client]"
        has "$work/load$client.log" "$page" || fail 'nobody was served'
    done
    accepts 'after' page_of
    note "refused meanwhile: $(cat "$work"/load?.log | grep -c 'alert internal error')"
}

# Each is served, or refused by an alert; none waits for long.
load() {
    local i status began
    for ((i = 0; i < 25; i++)); do
        began=$SECONDS
        status=0
        page_of || status=$?
        ((status == 0 || status == curl_refused)) || exit 1
        ((SECONDS - began < 8)) || exit 1
    done
}

run_tests "$@"
