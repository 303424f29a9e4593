#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Programs that run with standard descriptors closed (L14): what they print there
# reaches neither our log nor our report nor the agent.
# shellcheck source=lib.bash
. "${0%/*}/lib.bash"
need curl nm openssl python3 swtpm

readonly password='correct-horse-battery-staple'

setup() {
    lab_up || return
    serve attested "$lab/server.cnf" || return
    attested_port=$port
    agent_up
}

# attestd with what the lab's server has; it logs whoever sends it anything else.
agent_up() {
    {
        printf '[attestd]\nsocket = %s\nlog_level = debug\n' "$lab/agent"
        sed '1,/^\[attester_sect\]/d' "$lab/server.cnf" | sed '/^prove_to/d'
    } >"$work/attestd.cnf"
    spawn attestd "$ATTEST_BUILDDIR/attestd" --config "$work/attestd.cnf"
    await test -S "$lab/agent"
}

# without LIST CONF COMMAND...: with those of 0, 1, 2 closed; takes the shell's place.
without() {
    local list=$1 fd
    shift
    for fd in $list; do
        eval "exec $fd>&-"
    done
    with_exec "$@"
}

# A program of Python's: once it has a context it prints a password where its stderr
# would be, and goes on to do so beside all that follows.
readonly program='
import os, select, socket, ssl, sys, threading
password, role, lab, port = sys.argv[1].encode(), sys.argv[2], sys.argv[3], int(sys.argv[4])
def is_closed(number):
    try:
        os.fstat(number)
    except OSError:
        return True
closed = [number for number in (0, 1, 2) if is_closed(number)]
busy = threading.Lock()
def say():
    with busy:
        for number in closed:
            try:
                os.write(number, password)
            except OSError:
                pass
def go_on():
    while True:
        say()
def above(make):
    """A socket of its own is not what it prints to."""
    with busy:
        kept = [make()]
        while kept[-1].fileno() < 3:
            kept.append(kept[-1].dup())
        for other in kept[:-1]:
            other.close()
    return kept[-1]
if role == "client":
    context = ssl.create_default_context(cafile=lab + "/ca.pem")
else:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(lab + "/server.pem", lab + "/server.key")
say()
threading.Thread(target=go_on, daemon=True).start()
if role == "client":
    for turn in range(3):
        plain = above(lambda: socket.create_connection(("127.0.0.1", port), 20))
        tls = context.wrap_socket(plain, server_hostname="localhost")
        tls.sendall(b"GET /page HTTP/1.0\r\n\r\n")
        answer = b""
        while part := tls.recv(4096):
            answer += part
        tls.close()
        with busy:
            open(sys.argv[5], "wb").write(answer)
else:
    listener = above(lambda: socket.create_server(("127.0.0.1", port)))
    os.rename(sys.argv[5] + ".new", sys.argv[5])
    while select.select([listener], [], []):
        tls = context.wrap_socket(above(lambda: listener.accept()[0]), server_side=True)
        tls.recv(4096)
        page = sys.argv[6].encode()
        tls.sendall(b"HTTP/1.0 200 ok\r\nContent-Length: %d\r\n\r\n" % len(page) + page)
        tls.close()
'

clean() {
    local file
    for file; do
        [[ -s $file ]] || fail "$file is empty"
        says_not "$file" "$password"
    done
}

lists=(0 1 2 '0 1 2')

test_L14_client() {
    local list
    variant client logging "s|^log .*|log = $work/attest.out|" 's|^log_level .*|log_level = info|'
    export ATTEST_REPORT=$work/report
    for list in "${lists[@]}"; do
        (without "$list" "$work/logging.cnf" python3 -c "$program" "$password" client \
            "$lab" "$attested_port" "$work/answer") || fail "without $list: status $?"
        has "$work/answer" "$page" || fail "without $list: no page"
        rm "$work/answer"
    done
    clean "$work/attest.out" "$work/report"
}

# server LIST CONF: serves, and what it prints there stays with it.
server() {
    local list=$1 number
    number=$(free_port)
    : >"$work/ready.new"
    spawn server without "$list" "$2" python3 -c "$program" "$password" server "$lab" \
        "$number" "$work/ready" "$page"
    await test -e "$work/ready" || fail "without $list: does not start"
    for _ in 1 2 3; do
        accepts "without $list" fetch "$lab/client.cnf" "https://localhost:$number/page"
    done
    stop "$spawned"
    rm "$work/ready"
}

test_L14_server_with_a_tpm() {
    local list
    variant server logging "s|^log .*|log = $work/attest.out|" 's|^log_level .*|log_level = debug|'
    for list in "${lists[@]}"; do
        server "$list" "$work/logging.cnf"
    done
    [[ ! -e $work/attest.out ]] || says_not "$work/attest.out" "$password"
}

test_L14_server_with_the_agent() {
    local list
    sed -e "s|^quoter .*|quoter = unix:$lab/agent|" -e "s|^log .*|log = $work/attest.out|" \
        -e '/^ak/d; /^pcrs/d; /^boot_log/d; /^measured_log/d' "$lab/server.cnf" >"$work/unix.cnf"
    for list in "${lists[@]}"; do
        server "$list" "$work/unix.cnf"
    done
    has "$scratch/setup/attestd.log" 'listening on' || fail 'no log of the agent'
    says_not "$scratch/setup/attestd.log" 'refused pid'
}

# Programs that print nothing there work as usual.
test_L14_other_programs() {
    local list
    for list in "${lists[@]}"; do
        (without "$list" "$lab/client.cnf" curl --silent --max-time "$seconds" \
            --cacert "$lab/ca.pem" -o "$work/answer" "https://localhost:$attested_port/page") ||
            fail "curl without $list: status $?"
        has "$work/answer" "$page" || fail "curl without $list: no page"
        rm "$work/answer"
    done
}

# What a process has at 0, 1 and 2.
standard() {
    local fd
    for fd in 0 1 2; do
        readlink "/proc/$1/fd/$fd" || printf 'nothing\n'
    done
}

readonly nulls=$'/dev/null\n/dev/null\n/dev/null'

test_L14_attestd() {
    sed "s|^socket .*|socket = $work/agent\nlog = $work/attestd.out|; /^log_level/d" "$scratch/setup/attestd.cnf" >"$work/attestd.cnf"
    spawn attestd without '0 1 2' /dev/null "$ATTEST_BUILDDIR/attestd" \
        --config "$work/attestd.cnf"
    await test -S "$work/agent" || fail 'does not start'
    same 'what it has' "$nulls" "$(standard "$spawned")"
    kill "$spawned"
    await is_gone "$spawned" || fail 'does not end'
    has "$work/attestd.out" ending || fail 'no log'
}

is_gone() {
    ! is_running "$1"
}

has_socket() {
    [[ $(readlink "/proc/$1/fd/"* 2>/dev/null) == *socket:* ]]
}

# What is lost is not lost unseen.
test_L14_attest() {
    local status=0
    spawn silent python3 -u -c 'import socket, time
listener = socket.create_server(("127.0.0.1", 0))
print("ACCEPT 127.0.0.1:%d" % listener.getsockname()[1]); time.sleep(60)'
    await listens "$work/silent.log" || fail 'nobody listens'
    spawn attest without '0 1 2' /dev/null "$ATTEST_BUILDDIR/attest" show "127.0.0.1:$port"
    await has_socket "$spawned" || fail 'it asks nobody'
    same 'what it has' "$nulls" "$(standard "$spawned")"
    attest --version >&- 2>"$work/said" || status=$?
    same 'status without stdout' 2 "$status"
    has "$work/said" 'attest: standard output: Bad file descriptor' || fail 'nothing said'
    attest --version <&- 2>&- >"$work/said" || fail 'without the others'
    has "$work/said" 'attest '
}

# Calls that make a descriptor, under all their names, and libraries that do.
readonly makers='open|open64|__open_2|__open64_2|openat|openat64|__openat_2|__openat64_2|creat|creat64
socket|socketpair|accept|accept4|eventfd|timerfd_create|signalfd|epoll_create|epoll_create1
dup|dup2|dup3|pipe|pipe2|memfd_create|inotify_init|inotify_init1|pidfd_open
fopen|fopen64|freopen|freopen64|opendir|scandir|nftw|fts_open|mkstemp|mkostemp|tmpfile|popen
syslog|openlog|BIO_new_file|X509_load_cert_file|NCONF_load|PEM_X509_INFO_read_bio_file'
# Those that have to stand between atls_opening_begin() and _end(): who may.
readonly bracketed='dlopen|getaddrinfo|recvmsg|Tss2_TctiLdr_Initialize(_Ex)?|Tss2_TctiLdr_GetInfo'
readonly brackets='loader|tpm_link_swtpm|tpm_link_tctildr|agent_socket'

# imports OBJECT...: symbols that they want of others, each as FILE:NAME.
imports() {
    nm -A -u "$@" | sed -En 's|^(.*[:/])?([^:/]+\.o): +U ([^@ ]+).*|\2:\3|p'
}

test_L14_descriptors_come_from_one_place() {
    local all found
    all=$(imports "$ATTEST_BUILDDIR"/.libs/lib{attest,tls,channel,agent}.a \
        "$ATTEST_BUILDDIR"/provider/{,base/}.libs/attest_la-*.o "$ATTEST_BUILDDIR/agent/attestd.o")
    # It sees what there is, under the names that this compiler makes of them.
    for found in opening.o:socket opening.o:accept4 opening.o:eventfd; do
        grep -q "$found\$" <<<"$all" || fail "$found is not seen"
    done
    grep -qE 'opening\.o:(__)?open(64)?(_2)?$' <<<"$all" || fail 'no open() is seen'
    found=$(grep -E ":(${makers//$'\n'/|})\$" <<<"$all" | grep -v 'opening\.o:') || true
    [[ -z $found ]] || fail "descriptors that are not made by provider/base/opening.c: $found"
    found=$(grep -E ":($bracketed)\$" <<<"$all" | grep -Ev "($brackets)\.o:") || true
    # attestd's standard descriptors are always open; it takes none from others.
    found=$(grep -v '^socket\.o:recvmsg$' <<<"$found") || true
    [[ -z $found ]] || fail "not between atls_opening_begin() and atls_opening_end(): $found"
    # fcntl(2) can duplicate, too.
    found=$(grep -rlE 'F_DUPFD' "$ATTEST_SRCDIR"/provider "$ATTEST_SRCDIR"/agent) || true
    same 'who duplicates' "$ATTEST_SRCDIR/provider/base/opening.c" "$found"
}

run_tests "$@"
