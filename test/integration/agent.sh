#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# attestd as it is started: by hand, by systemd's socket, twice, wrongly; killed and
# back; and a TLS server that has no other TPM.
# shellcheck source=lib.bash
. "${0%/*}/lib.bash"
need curl openssl swtpm tpm2_getcap
# Not one of a home folder, where nobody may look.
python=$(PATH=/usr/bin:/bin command -v python3) || skip_all 'python3 is missing'
readonly python

setup() {
    lab_up || return
    openssl x509 -in "$lab/server.pem" -outform DER -out "$scratch/server.der" || return
    openssl x509 -in "$lab/plain.pem" -outform DER -out "$scratch/plain.der" || return
    install -m 755 "$ATTEST_SRCDIR/test/integration/agent_client.py" "$scratch/ask"
}

# configure [LINE...]: $work/attestd.cnf.
configure() {
    {
        printf '[attestd]\n'
        printf '%s\n' "socket = $work/agent.sock" "quoter = tcti:$(<"$lab/tcti")" \
            'ak = 0x81010002' "ak_chain = $lab/ak-chain.pem" \
            "measured_log = $lab/events.cel" "boot_log = $lab/binary_bios_measurements" "$@"
    } >"$work/attestd.cnf"
}

attestd() {
    timeout "$seconds" "$ATTEST_BUILDDIR/attestd" --config "$work/attestd.cnf" "$@"
}

attestd_exec() {
    exec "$ATTEST_BUILDDIR/attestd" --config "$work/attestd.cnf" "$@"
}

start() {
    spawn agent attestd_exec "$@"
    says "$work/agent.log" 'listening on'
}

# ask_agent [DER]
ask_agent() {
    "${as_user[@]}" "$python" "$scratch/ask" "$work/agent.sock" "$@"
}

answers() {
    run ask_agent "$@" || fail 'no evidence'
    [[ $output == 'evidence '* ]] || fail "an answer, but: $output"
}

# refuses_to REASON [DER]
refuses_to() {
    ! run ask_agent "${@:2}" || fail 'evidence'
    [[ $output == *"$1"* ]] || fail "refused without: $1"
}

# agent_ends STATUS: the agent does, or has.
agent_ends() {
    local status=0
    await is_gone "$spawned" || fail 'attestd does not end'
    wait "$spawned" || status=$?
    same 'exit status' "$1" "$status"
}

is_gone() {
    ! is_running "$1"
}

test_B4_answers() {
    configure
    start
    answers
    answers "$scratch/server.der"
    refuses_to 'refusal certificate-unmeasured: certificate sha256:' "$scratch/plain.der"
    same 'mode of the socket' 666 "$(stat -c %a "$work/agent.sock")"
}

test_B4_other_users() {
    configure
    start
    as_nobody
    refuses_to 'refusal not-allowed: user 65534 may not ask this agent: add it to allow in'
    says "$work/agent.log" 'user 65534 may not ask'
    # No restart.
    configure 'allow = nobody'
    await ask_agent || fail 'nobody is still refused'
    configure 'allow = @nogroup'
    sleep 0.3
    answers
    configure 'allow = @root'
    sleep 0.3
    refuses_to 'refusal not-allowed'
}

test_ends_cleanly() {
    local signal
    configure
    for signal in TERM INT; do
        start
        answers
        kill -"$signal" "$spawned"
        agent_ends 0
        [[ ! -e $work/agent.sock ]] || fail "SIG$signal: the socket is still there"
    done
}

# hammer PID SIGNAL...: one after the other, as fast as can be, until it is gone; it
# does not take longer than anything here.
hammer() {
    local pid=$1 signal deadline=$((SECONDS + seconds))
    shift
    while ((SECONDS < deadline)); do
        for signal; do
            kill -"$signal" "$pid" 2>/dev/null || return 0
        done
    done
    kill -KILL "$pid"
}

# ends_by SIGNAL...: under all of these, again and again, it ends as by one.
ends_by() {
    local status=0
    hammer "$spawned" "$@" &
    # The hammer stops when nobody waits for the process any more.
    wait "$spawned" || status=$?
    wait $! || true
    same "exit status by $*" 0 "$status"
    [[ ! -e $work/agent.sock ]] || fail "$*: the socket is still there"
    ! grep -aqE 'Sanitizer|runtime error' "$work/agent.log" || fail "$*: not clean"
}

test_L16_signals_while_it_ends() {
    local turn
    configure
    for ((turn = 0; turn < ${ATTEST_REPEATS:-20}; turn++)); do
        start
        ((turn % 2 == 0)) || answers
        case $((turn % 3)) in
        0) ends_by TERM ;;
        1) ends_by TERM HUP INT ;;
        2) ends_by HUP TERM ;;
        esac
    done
}

# The TPM is silent and a request waits: it ends all the same, and then still takes
# no notice.
test_L16_signals_while_it_waits_for_the_tpm() {
    local tpm pid
    configure
    start
    answers
    tpm=$(<"$lab/tpm/pid")
    kill -STOP "$tpm"
    spawn asker "$python" "$scratch/ask" "$work/agent.sock"
    sleep 0.3
    spawned=${pids[agent]}
    ends_by HUP TERM
    kill -CONT "$tpm"
}

# Before it listens there is nothing to tidy up: it ends by the signal, or as usual.
test_L16_signals_while_it_starts() {
    local turn status
    configure
    for ((turn = 0; turn < ${ATTEST_REPEATS:-20}; turn++)); do
        spawn agent attestd_exec
        sleep "0.0$((turn % 10))"
        status=0
        hammer "$spawned" TERM HUP &
        wait "$spawned" || status=$?
        wait $! || true
        ((status == 0 || status == 128 + $(kill -l TERM) || status == 128 + $(kill -l HUP))) ||
            fail "ends with $status"
        [[ ! -e $work/agent.sock ]] || fail 'the socket is still there'
        ! grep -aqE 'Sanitizer|runtime error' "$work/agent.log" || fail 'not clean'
    done
}

test_T5_killed_and_back() {
    configure
    start
    answers
    kill -KILL "$spawned"
    agent_ends 137
    [[ -S $work/agent.sock ]] || fail 'no stale socket'
    refuses_to 'Connection refused'
    start
    answers
}

test_second_agent() {
    local first
    configure
    start
    first=$spawned
    ! run attestd || fail 'a second one'
    [[ $output == *"another attestd listens on $work/agent.sock"* ]] || fail 'no reason'
    answers
    is_running "$first" || fail 'the first one has ended'
    run attestd --check || fail 'the configuration is fine'
}

test_place_is_taken() {
    local status=0
    configure
    printf 'precious\n' >"$work/agent.sock"
    run attestd || status=$?
    same 'exit status' 2 "$status"
    [[ $output == *'is there and no socket'* ]] || fail 'no reason'
    same 'the file' precious "$(<"$work/agent.sock")"
    rm "$work/agent.sock"
    spawn other "$python" -c 'import socket, sys, time
s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
s.bind(sys.argv[1]); s.listen(); print("listens", flush=True); time.sleep(60)' "$work/agent.sock"
    says "$work/other.log" listens
    status=0
    run attestd || status=$?
    same 'exit status' 2 "$status"
    [[ $output == *"is served by process $spawned"* ]] || fail 'no pid'
    # Where there is no folder.
    status=0
    run attestd --socket "$work/none/agent.sock" || status=$?
    same 'exit status' 2 "$status"
    [[ $output == *'the folder must exist'* ]] || fail 'no reason'
}

# as_agent COMMAND...: as the agent's user, nobody, who may read what it needs.
as_agent() {
    timeout "$seconds" "${as_user[@]}" "$ATTEST_BUILDDIR/attestd" --config "$work/attestd.cnf" "$@"
}

as_agent_exec() {
    exec "${as_user[@]}" "$ATTEST_BUILDDIR/attestd" --config "$work/attestd.cnf" "$@"
}

need_root() {
    ((EUID == 0)) || skip 'not root'
    as_nobody
    configure
    chmod 644 "$work/attestd.cnf"
    run as_agent --check || skip 'nobody cannot read what the lab has'
}

# refused REASON [OPTION...]: the agent's user cannot start it.
refused() {
    local status=0
    run as_agent "${@:2}" || status=$?
    same 'exit status' 2 "$status"
    [[ $output == *"$1"* ]] || fail "refused without: $1"
}

# Programs believe root and the owner of the socket's folder.
test_folder_of_somebody_else() {
    need_root
    install -d -o daemon -m 777 "$work/daemons"
    refused "$work/daemons: the folder belongs to daemon: programs will not believe this agent: chown it to nobody, mode 755" \
        --socket "$work/daemons/agent.sock"
    [[ ! -e $work/daemons/agent.sock.lock ]] || fail 'a lock was left there'
    install -d -o root -m 1777 "$work/roots"
    refused 'the folder belongs to root' --socket "$work/roots/agent.sock"
    install -d -o nobody -m 777 "$work/open"
    refused "$work/open: anybody may write to this folder" --socket "$work/open/agent.sock"
    # Also root's agent, but for folders as /tmp.
    local status=0
    run attestd --socket "$work/open/agent.sock" || status=$?
    same 'exit status' 2 "$status"
    [[ $output == *'anybody may write to this folder'* ]] || fail 'no reason'
    start --socket "$work/roots/agent.sock"
    stop "$spawned"
    # As attestd(8) says.
    install -d -o nobody "$work/own"
    spawn agent as_agent_exec --socket "$work/own/agent.sock"
    says "$work/agent.log" 'listening on'
    stop "$spawned"
}

test_lock_of_root() {
    need_root
    install -d -o nobody "$work/own"
    (umask 077 && : >"$work/own/agent.sock.lock")
    refused "$work/own/agent.sock.lock belongs to root: remove it" --socket "$work/own/agent.sock"
}

test_configuration_of_somebody_else() {
    need_root
    chmod 600 "$work/attestd.cnf"
    refused 'cannot be opened: Permission denied; it must be readable for user nobody' --check
}

# A daemon that nobody hears must not seem to run well.
test_log_that_cannot_be_opened() {
    local status option
    configure "log = $work/nope/x.log"
    for option in --check ''; do
        status=0
        run attestd ${option:+"$option"} || status=$?
        same "exit status of attestd $option" 2 "$status"
        [[ $output == attestd:*"attestd.cnf:8: log = $work/nope/x.log: cannot be opened: No such file or directory; make the folder, or give it to the agent's user" ]] ||
            fail 'no reason'
    done
    mkdir "$work/nope"
    run attestd --check || fail 'the folder is there'
    [[ ! -e $work/nope/x.log ]] || fail '--check made the log'
    spawn agent attestd_exec
    await has "$work/nope/x.log" 'attestd['
    has "$work/nope/x.log" "listening on $work/agent.sock" || fail 'nothing logged'
}

# What --check sees of the machine, and what a wrong boot log is: worth a warning.
test_check_warns_of_the_boot_log() {
    configure
    run attestd --check || fail 'the configuration is fine'
    [[ $output == *'no mistakes found'* && $output != *warning* ]] || fail 'a warning'
    local log reason
    while IFS='|' read -r log reason; do
        configure
        sed -i "s|^boot_log.*|boot_log = $log|" "$work/attestd.cnf"
        run attestd --check || fail 'a boot log is not needed'
        [[ $output == *"attestd: warning: "*"attestd.cnf:7: boot_log: $reason"* ]] ||
            fail "no warning of $log"
        [[ $output != *'no mistakes'* ]] || fail 'a mistake, and none'
    done <<END
$work/none|cannot open $work/none: No such file or directory
$lab/ak-chain.pem|$lab/ak-chain.pem:
END
}

test_hangup_reloads() {
    configure
    start
    configure 'alow = nobody'
    kill -HUP "$spawned"
    says "$work/agent.log" 'what was in force stays so:'
    says "$work/agent.log" 'attestd.cnf:8: alow: unknown key'
    answers
    configure 'certificate = any'
    kill -HUP "$spawned"
    says "$work/agent.log" 'taken up anew'
    answers "$scratch/plain.der"
}

test_socket_activation() {
    command -v systemd-socket-activate >/dev/null || skip 'systemd-socket-activate is missing'
    configure 'socket = /nonexistent/ignored'
    sed -i "2d" "$work/attestd.cnf"
    spawn agent systemd-socket-activate --seqpacket --listen="$work/agent.sock" \
        "$ATTEST_BUILDDIR/attestd" --config "$work/attestd.cnf"
    await test -S "$work/agent.sock" || fail 'systemd-socket-activate does not listen'
    answers
    says "$work/agent.log" "listening on systemd's socket"
    kill -TERM "$spawned"
    agent_ends 0
    [[ -S $work/agent.sock ]] || fail "systemd's socket was removed"
    rm "$work/agent.sock"
    spawn agent systemd-socket-activate --listen="$work/agent.sock" \
        "$ATTEST_BUILDDIR/attestd" --config "$work/attestd.cnf"
    await test -S "$work/agent.sock"
    "$python" -c 'import socket, sys
socket.socket(socket.AF_UNIX).connect(sys.argv[1])' "$work/agent.sock"
    says "$work/agent.log" 'attestd.socket needs ListenSequentialPacket='
    agent_ends 2
}

test_tells_its_manager() {
    configure
    spawn manager "$python" "$ATTEST_SRCDIR/test/integration/notify_listener.py" "$work/notify"
    await test -S "$work/notify"
    NOTIFY_SOCKET=$work/notify WATCHDOG_USEC=200000 start
    says "$work/manager.log" 'READY=1 STATUS=Answering requests'
    says "$work/manager.log" 'WATCHDOG=1'
    kill -HUP "$spawned"
    says "$work/manager.log" 'RELOADING=1 MONOTONIC_USEC='
    configure 'alow = nobody'
    kill -HUP "$spawned"
    says "$work/manager.log" 'alow: unknown key'
    kill -TERM "$spawned"
    says "$work/manager.log" 'STOPPING=1'
    agent_ends 0
}

# Lines that go to systemd's journal begin with their priority.
test_tells_the_journal() {
    configure
    : >"$work/agent.log"
    JOURNAL_STREAM=$(stat -c %d:%i "$work/agent.log") start
    says "$work/agent.log" '<6>attestd: version '
    refuses_to 'certificate-unmeasured' "$scratch/plain.der"
    says "$work/agent.log" '<4>attestd: refused pid'
}

test_P2_mistakes() {
    local line status
    for line in 'alow = x' 'allow = no-such-user' 'timeout = 0' 'measured_log = none' \
        'ak_auth = secret' 'log_level = all' '[component]' 'pcrs = sha256:0-99' \
        'pcrs = sha256:0-7' "ak_auth = file:$work/none"; do
        configure "$line"
        status=0
        run attestd --check || status=$?
        same "exit status of --check with $line" 2 "$status"
        [[ $output == "attestd: "*attestd.cnf:[78]:* ]] || fail 'no reason, or not where'
        status=0
        run attestd || status=$?
        same "exit status with $line" 2 "$status"
    done
    configure
    sed -i "s|^ak_chain.*|ak_chain = $work/none.pem|" "$work/attestd.cnf"
    status=0
    run attestd --check || status=$?
    same 'exit status without a chain' 2 "$status"
    [[ $output == *"attestd.cnf:5: ak_chain: cannot open $work/none.pem"* ]] || fail 'no reason'
    sed -i "s|^ak_chain.*|ak_chain = $work/attestd.cnf|" "$work/attestd.cnf"
    ! run attestd --check || fail 'a chain without a certificate'
    [[ $output == *"attestd.cnf:5: ak_chain: $work/attestd.cnf: no certificate in it"* ]] ||
        fail 'no reason'
    configure
    sed -i 's|^quoter.*|quoter = tcti:nosuch:x|' "$work/attestd.cnf"
    ! run attestd --check || fail 'a TCTI that there is not'
    [[ $output == *'attestd.cnf:3: quoter: tpm2-tss has no TCTI "nosuch": '* ]] || fail 'no reason'
    status=0
    status=0
    run "$ATTEST_BUILDDIR/attestd" --config "$work/none.cnf" || status=$?
    same 'exit status without a file' 2 "$status"
}

test_options() {
    local status=0
    run "$ATTEST_BUILDDIR/attestd" --help || fail 'help'
    [[ $output == 'usage: attestd '* ]] || fail 'no usage'
    run "$ATTEST_BUILDDIR/attestd" --version || fail 'version'
    [[ $output == 'attestd '[0-9]* ]] || fail 'no version'
    configure
    local option
    for option in --colour attestd.cnf --socket= --socket=agent.sock --config \
        "--socket=/$(printf '%0107d' 0)"; do
        status=0
        run attestd --check "$option" || status=$?
        same "exit status with $option" 2 "$status"
        [[ $output == *"Try 'attestd --help'." ]] || fail 'nothing to try'
    done
    run attestd --check "--socket=/$(printf '%0106d' 0)" || fail 'a socket as long as can be'
}

# manual PAGE: the first literal display of a page, as a user would copy it.
manual() {
    sed -n '/^\.Bd -literal/,/^\.Ed/{/^\.Ed/q;/^\./d;s/\\e/\\/g;p}' "$ATTEST_SRCDIR/doc/$1"
}

test_manual_examples() {
    manual attestd.cnf.5 >"$work/example.cnf"
    has "$work/example.cnf" '[attestd]' || fail 'no example'
    sed -i -e "s|/etc/attest/ak-chain.pem|$lab/ak-chain.pem|" -e 's/www-data/nobody/' \
        "$work/example.cnf"
    run "$ATTEST_BUILDDIR/attestd" --config "$work/example.cnf" --check || fail 'the example'
    sed "s|/etc/attest/ak-chain.pem|$lab/ak-chain.pem|" "$ATTEST_SRCDIR/attestd.cnf.example" \
        >"$work/attestd.cnf.example"
    run "$ATTEST_BUILDDIR/attestd" --config "$work/attestd.cnf.example" --check ||
        fail 'attestd.cnf.example'
}

# A server whose only TPM is the agent's.
test_T5_tls_server() {
    configure
    start
    variant server agent '/^ak/d' '/^pcrs/d' '/_log *=/d' \
        "s|^quoter.*|quoter = unix:$work/agent.sock|"
    serve server "$work/agent.cnf"
    attested_port=$port
    accepts 'with the agent' control
    kill -KILL "${pids[agent]}"
    await is_gone "${pids[agent]}"
    ! run control || fail 'accepted without the agent'
    says "$work/server.log" 'Connection refused'
    spawned=
    start
    await control || fail 'no service after the agent came back'
    accepts 'with the agent again' control
}

run_tests "$@"
