#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Programs that do not read the configuration that is meant for them, or have
# another OpenSSL: what they do, and that attest check --exec says so.
# shellcheck source=lib.bash
. "${0%/*}/lib.bash"
need curl openssl swtpm

setup() {
    lab_up || return
    serve attested "$lab/server.cnf"
    attested_port=$port
    serve plain /dev/null -cert "$lab/plain.pem" -key "$lab/plain.key"
    plain_port=$port
}

plain_by() {
    with "$1" "$2" --silent --show-error --max-time "$seconds" --cacert "$lab/ca.pem" \
        "https://localhost:$plain_port/page"
}

# privileged HOW COMMAND...: a curl with a right that it got from its file.
privileged() {
    local how=$1 copy=$work/curl
    shift
    ((EUID == 0)) || skip 'needs root, to give rights'
    # Others run it: root gains nothing by it.
    as_nobody
    install -m 755 "$(command -v curl)" "$copy"
    "$@" "$copy" || skip "cannot: $*"
    chmod 755 "$scratch" "$work" "$lab"
    # The kernel tells such a process so (AT_SECURE).
    unattested "$how" plain_by "$lab/client.cnf" "$copy"
    check_says 2 "FAIL  program: $copy runs $how: OpenSSL ignores OPENSSL_CONF in it" \
        --conf "$lab/client.cnf" --exec "$copy"
    # Without the right it is a program as any other.
    install -m 755 "$(command -v curl)" "$copy"
    refuses "ordinary, not $how" 'sent no attestation evidence' \
        plain_by "$lab/client.cnf" "$copy"
    check_says 0 "ok    program: $copy uses " --conf "$lab/client.cnf" --exec "$copy"
}

test_C3_setuid() {
    privileged setuid chmod u+s
}

test_C3_setgid() {
    privileged setgid chmod g+s
}

test_C3_capabilities() {
    command -v setcap >/dev/null || skip 'setcap is missing'
    privileged 'with file capabilities' setcap cap_net_bind_service+ep
}

# The system's file is read all the same.
test_C3_capabilities_and_the_systems_file() {
    local system
    command -v setcap >/dev/null || skip 'setcap is missing'
    ((EUID == 0)) || skip 'needs root, to give rights'
    unshare --mount true 2>/dev/null || skip 'cannot have mounts of its own'
    as_nobody
    system=$(openssl version -d)
    system=$(realpath "$(cut -d'"' -f2 <<<"$system")/openssl.cnf")
    install -m 755 "$(command -v curl)" "$work/curl"
    setcap cap_net_bind_service+ep "$work/curl"
    cp "$lab/client.cnf" "$work/system.cnf"
    chmod 755 "$scratch" "$work" "$lab"
    prepare_for curl
    refuses 'by the file of the system' 'sent no attestation evidence' \
        "${sanitizer[@]}" unshare --mount sh -c "mount --bind '$work/system.cnf' '$system' &&
            exec setpriv --reuid=nobody --regid=nogroup --clear-groups '$work/curl' -sS \
                --max-time $seconds --cacert '$lab/ca.pem' https://localhost:$plain_port/page"
    # What tpm2-tss would write with its rights, and where, is not its user's to say.
    refuses 'led by its user' 'TSS2_LOG or TSS2_LOGFILE is set for a setuid program' \
        "${sanitizer[@]}" env TSS2_LOG=all+TRACE TSS2_LOGFILE="$work/led" unshare --mount sh -c "mount --bind '$work/system.cnf' '$system' &&
            exec setpriv --reuid=nobody --regid=nogroup --clear-groups '$work/curl' -sS \
                --max-time $seconds --cacert '$lab/ca.pem' https://localhost:$plain_port/page"
    [[ ! -e $work/led ]] || fail 'tpm2-tss wrote what its user wanted'
}

test_C4_programs_with_another_library() {
    local other
    printf '#!/bin/sh\n' >"$work/script"
    chmod +x "$work/script"
    check_says 0 'is a script: look at the program that runs it' --conf "$lab/client.cnf" --exec "$work/script"
    check_says 2 "FAIL  program: $work/none: No such file or directory" \
        --conf "$lab/client.cnf" --exec "$work/none"
    check_says 2 "FAIL  program: $work is not a regular file" --conf "$lab/client.cnf" --exec "$work"
    check_says 0 'links no libssl: it may load it later' --conf "$lab/client.cnf" --exec "$(command -v bash)"
    # A TLS of its own, as in a program of Go.
    { cat "$(command -v bash)" && printf 'TLS 1.3, server CertificateVerify'; } >"$work/own"
    chmod +x "$work/own"
    check_says 2 'has TLS of its own inside (a static OpenSSL, Go'"'"'s ...), in which attest cannot work' \
        --conf "$lab/client.cnf" --exec "$work/own"
    other=$(command -v wget || true)
    [[ -n $other && $(ldd "$other") == *gnutls* ]] || return 0
    check_says 2 'uses libgnutls.so' --conf "$lab/client.cnf" --exec "$other"
}

# node CONF: fetches the page.
by_node() {
    NODE_EXTRA_CA_CERTS=$lab/ca.pem with "$1" timeout "$seconds" node -e '
        require("https").get({host: "127.0.0.1", port: process.argv[1], path: "/page",
                servername: "localhost"}, answer => {
            answer.on("data", data => process.stdout.write(data))
        }).on("error", error => { console.error(error.message); process.exit(1) })' "$2"
}

test_C4_node_reads_its_own_section() {
    command -v node >/dev/null || skip 'node is missing'
    unattested 'no section of its own' by_node "$lab/client.cnf" "$plain_port"
    check_says 2 'is Node.js, which reads the section that nodejs_conf names' \
        --conf "$lab/client.cnf" --exec "$(realpath "$(command -v node)")"
    variant client node 's/^openssl_conf *= *\(.*\)/&\nnodejs_conf = \1/'
    accepts 'node' by_node "$work/node.cnf" "$attested_port"
    refuses 'node' 'sent no attestation evidence' by_node "$work/node.cnf" "$plain_port"
    check_says 0 'is Node.js, and nodejs_conf names [' --conf "$work/node.cnf" \
        --exec "$(realpath "$(command -v node)")"
    variant client elsewhere 's/^openssl_conf .*/&\nnodejs_conf = default_sect/'
    check_says 0 'warn  program: ' --conf "$work/elsewhere.cnf" --exec "$(realpath "$(command -v node)")"
}

run_tests "$@"
