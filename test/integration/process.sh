#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# In the process of a program: what it leaves to those that it starts, and what
# it makes of a peer that sends octet by octet.
# shellcheck source=lib.bash
. "${0%/*}/lib.bash"
need curl openssl swtpm python3

setup() {
    lab_up || return
    serve attested "$lab/server.cnf"
    attested_port=$port
    serve plain /dev/null -cert "$lab/plain.pem" -key "$lab/plain.key"
    plain_port=$port
}

# A server of one connection, which then becomes another program. Prints what is
# open before; descriptors of Python's own are not handed on.
serve_and_exec() {
    with_exec "$@" python3 -u -c '
import os, socket, ssl, sys
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1], sys.argv[2])
listener = socket.create_server(("127.0.0.1", 0))
print("ACCEPT 127.0.0.1:%d" % listener.getsockname()[1])
connection, peer = listener.accept()
with context.wrap_socket(connection, server_side=True) as tls:
    tls.recv(4096)
    tls.sendall(b"HTTP/1.0 200 ok\r\n\r\n" + sys.argv[3].encode())
    tls.unwrap()
for descriptor in os.listdir("/proc/self/fd"):
    try:
        print("open", os.readlink("/proc/self/fd/" + descriptor))
    except OSError:
        pass
for thread in os.listdir("/proc/self/task"):
    print("thread", open("/proc/self/task/%s/comm" % thread).read(), end="")
print("now ls")
os.execvp("ls", ["ls", "-l", "/proc/self/fd"])
' "$lab/server.pem" "$lab/server.key" "$page"
}

# left_by NAME CONF [OPTION...]: what is open in the program it becomes, but the
# folder that ls reads.
left_by() {
    local log=$work/$1.log
    spawn "$1" serve_and_exec "$2"
    await listens "$log" || fail 'the server does not start'
    accepts "$1" fetch "${@:3}" "https://localhost:$port/page" >&2
    says "$log" 'now ls'
    await ended "$spawned" || fail 'it does not end'
    sed '1,/now ls/d' "$log" | awk -v own="$log" \
        '/->/ && $NF != own && $NF !~ /^\/proc\// { print $(NF-2), $NF }'
}

test_L5_descriptors_are_not_inherited() {
    local before after
    before=$(left_by plain /dev/null /dev/null)
    variant server logging "s|^log .*|log = $work/attest.out|"
    export ATTEST_REPORT=$work/report.out
    after=$(left_by leaf "$work/logging.cnf" "$lab/client.cnf")
    # The log, the report and the TPM were open, or this shows nothing.
    has "$work/leaf.log" "open $work/attest.out" || fail 'no log was open'
    has "$work/leaf.log" "open $work/report.out" || fail 'no report was open'
    has "$work/leaf.log" 'thread attest-quoter' || fail 'the quoter had not begun'
    [[ $after == *'0 /dev/null'* ]] || fail 'ls shows nothing'
    same 'descriptors left' "$before" "$after"
}

ended() {
    ! is_running "$1"
}

# A program that has the module from the start is no late one (L8).
test_L8_programs_are_not_called_late() {
    variant client logging "s|^log .*|log = $work/attest.out|"
    accepts 'curl' fetch "$work/logging.cnf" "https://localhost:$attested_port/page"
    says_not "$work/attest.out" 'before it loaded attest'
    accepts 's_client' ask "$work/logging.cnf" "$attested_port"
    says_not "$work/attest.out" 'before it loaded attest'
}

# from_folder MODULES FOLDER: a client that finds the module in the folder MODULES,
# and then goes to FOLDER before it makes its first context.
from_folder() {
    OPENSSL_MODULES=$1 with "$work/relative.cnf" python3 -c '
import os, socket, ssl, sys
os.chdir(sys.argv[1])
context = ssl.create_default_context(cafile=sys.argv[2])
plain = socket.create_connection(("127.0.0.1", int(sys.argv[3])), 20)
tls = context.wrap_socket(plain, server_hostname="localhost")
tls.sendall(b"GET /page HTTP/1.0\r\n\r\n")
while part := tls.recv(4096):
    sys.stdout.buffer.write(part)
' "$2" "$lab/ca.pem" "$attested_port"
}

# What lies in that folder under the name of the second object is not its.
test_C1_module_by_a_relative_path() {
    local folder
    variant client relative 's|^module .*|module = attest.so|'
    mkdir "$work/elsewhere"
    printf 'not ours\n' >"$work/elsewhere/attest-inner.so"
    cd "$ATTEST_BUILDDIR/.libs"
    for folder in . ../.libs "$PWD"; do
        accepts "$folder" from_folder "$folder" "$work/elsewhere"
    done
}

# slowly PORT [PAUSE-FROM]: a client that gets and gives one octet at a time, with
# a pause of a second after that many.
slowly() {
    with "$1" python3 - "$2" "$lab/ca.pem" "${3:-0}" <<'END'
import socket, ssl, sys, time
context = ssl.create_default_context(cafile=sys.argv[2])
incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
tls = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
pause_at, moved = int(sys.argv[3]), 0
connection = socket.create_connection(("127.0.0.1", int(sys.argv[1])), 20)
connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

def move():
    """All that is to be sent, an octet a call; else one octet in."""
    global moved
    while outgoing.pending:
        connection.sendall(outgoing.read(1))
        moved += 1
    octet = connection.recv(1)
    moved += 1
    if pause_at and moved >= pause_at:
        globals()["pause_at"] = 0
        time.sleep(1)
    if octet:
        incoming.write(octet)
    else:
        incoming.write_eof()

def until_done(call, *arguments):
    while True:
        try:
            return call(*arguments)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            move()

try:
    until_done(tls.do_handshake)
    tls.write(b"GET /page HTTP/1.0\r\n\r\n")
    text = b""
    while b"\n" not in text.partition(b"\r\n\r\n")[2]:
        text += until_done(tls.read, 4096)
    print(text.decode())
except ssl.SSLError as error:
    sys.exit(str(error))
END
}

test_S15_one_octet_at_a_time() {
    local report=$work/verdicts
    export ATTEST_REPORT=$report
    accepts 'octet by octet' slowly "$lab/client.cnf" "$attested_port"
    same 'verdicts' 1 "$(grep -c 'is trusted' "$report")"
    accepts 'with a pause in the hello' slowly "$lab/client.cnf" "$attested_port" 100
    accepts 'with a pause in the evidence' slowly "$lab/client.cnf" "$attested_port" 3000
    # Python shows OpenSSL's last error, the report the first.
    export ATTEST_REPORT=stderr
    refuses 'no evidence, octet by octet' 'sent no attestation evidence' \
        slowly "$lab/client.cnf" "$plain_port"
}

# A certificate with a comment of that many octets.
padding() {
    local size=$1
    { printf '[ext]\nnsComment = ' && head -c "$size" /dev/zero | tr '\0' x; } >"$work/padding.cnf"
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout /dev/null \
        -subj /CN=padding -days 2 -config <(printf '[req]\ndistinguished_name = dn\n[dn]\n' &&
            cat "$work/padding.cnf") -extensions ext -out "$work/padding.pem"
}

# OpenSSL takes 100 KiB of a Certificate message (max_cert_list), evidence
# included.
test_S16_chain_of_nearly_100_KiB() {
    padding 40000
    cat "$work/padding.pem" "$work/padding.pem" >"$work/long.pem"
    serve long "$lab/server.cnf" -cert_chain "$work/long.pem"
    accepts '80 KB and evidence' ask "$lab/client.cnf" "$port"
    padding 22000
    cat "$work/long.pem" "$work/padding.pem" >"$work/longer.pem"
    serve longer "$lab/server.cnf" -cert_chain "$work/longer.pem"
    refuses '102 KB and evidence' 'excessive message size' ask "$lab/client.cnf" "$port"
}

run_tests "$@"
