#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# HAProxy, master and worker, as a server with several certificates and as a
# client of its servers. It denies itself new threads, which only root is above:
# servers with a quoter inside need insecure-fork-wanted. Of a server that is refused it says why where the log
# format has %[ssl_bc_err_str]; whoever asked HAProxy gets a 503.
# shellcheck source=lib-apps.bash
. "${0%/*}/lib-apps.bash"
need haproxy curl openssl swtpm
need_nobody

setup() {
    lab_up && issue_names || return
    local name
    for name in one two unmeasured; do
        join "$name" "$work" || return
    done
    haproxy_up frontend "$lab/server.cnf" frontend insecure-fork-wanted || return
    haproxy_pid=$spawned
    attested_port=$port
    serve plain /dev/null -cert "$lab/plain.pem" -key "$lab/plain.key" || return
    plain_port=$port
}

# join NAME FOLDER: certificate and key of $work in one file, as HAProxy has
# them.
join() {
    cat "$work/$1.pem" "$work/$1.key" >"$work/$1.new"
    mv "$work/$1.new" "$2/$1.crt"
}

# haproxy_up NAME CONF SECTIONS [GLOBAL-LINE...]: SECTIONS is a command that
# prints them. Sets port and spawned.
haproxy_up() {
    local name=$1 sections=$3
    local -a global=("${@:4}")
    up "$name" "$2" write_haproxy_conf haproxy -W -db -f "$work/$name.cfg"
}

write_haproxy_conf() {
    {
        cat <<END
global
    log stdout format raw local0
    nbthread 2
$( ((EUID != 0)) || printf '    user nobody\n    group nogroup\n')
    ssl-default-bind-options ssl-min-ver TLSv1.2
$( ((${#global[@]} == 0)) || printf '    %s\n' "${global[@]}")
defaults
    mode http
    log global
    log-format "%ci status %ST %[ssl_bc_err_str]"
    retries 0
    timeout connect ${seconds}s
    timeout client ${seconds}s
    timeout server ${seconds}s
END
        $sections
    } >"$work/$name.cfg"
}

# The first is for clients without a name.
frontend() {
    cat <<END
frontend attested
    bind 127.0.0.1:$port ssl crt $scratch/setup/one.crt crt $scratch/setup/two.crt crt $scratch/setup/unmeasured.crt
    http-request return status 200 content-type text/plain file $scratch/www/page if { path /page }
END
}

test_S8_two_names_with_two_certificates() {
    two_names_with_two_certificates
}

test_E14_other_policy_is_refused() {
    other_policy_is_refused
}

test_S3_sessions_are_no_way_round() {
    session_is_no_way_round
}

test_R1_many_handshakes_at_once() {
    load 60
}

reload() {
    kill -USR2 "$haproxy_pid"
}

# A master that is still restarting may not see the signal: say it again.
reload_worker() {
    local old tries
    old=$(children "$haproxy_pid")
    for ((tries = 0; tries < 1500; tries++)); do
        ((tries % 500 > 0)) || reload
        ! is_another_worker "$old" || return 0
        sleep 0.02
    done
    fail 'HAProxy does not reload'
}

# Each is a new worker.
test_L3_reloads() {
    local i
    keep_asking at two.attested.test "$lab/client.cnf"
    for ((i = 0; i < ${repeats:-4}; i++)); do
        reload_worker
        accepts 'after a reload' at one.attested.test "$lab/client.cnf"
    done
    all_served
}

is_another_worker() {
    local now
    now=$(children "$haproxy_pid")
    [[ $now != "$1" && $(wc -w <<<"$now") == 1 ]]
}

test_S8_renewed_certificate() {
    renewed_certificate_is_taken_up install_renewed reload
}

install_renewed() {
    join renewed "$work"
    mv "$work/renewed.crt" "$certificates/one.crt"
}

# The quoter comes along into a chroot, its log must be there.
test_L3_in_a_chroot() {
    ((EUID == 0)) || skip 'only root can change the root'
    local url
    mkdir -p "$work/root/$lab"
    chmod -R 755 "$work/root"
    haproxy_up chroot "$lab/server.cnf" frontend "chroot $work/root" insecure-fork-wanted
    url=https://localhost:$port/page
    unattested 'chroot' fetch /dev/null "$url"
    refuses 'chroot without the log' 'alert internal error' fetch "$lab/client.cnf" "$url"
    says "$work/chroot.log" "$lab/events.cel is not there, yet PCR 15 is not zero: lost (kexec), out of sight (chroot)"
    cp "$lab/events.cel" "$work/root/$lab"
    ATTEST_REPORT=stderr accepts 'chroot with the log' fetch "$lab/client.cnf" "$url"
    [[ $output == *'is trusted'* ]] || fail 'no verdict'
}

test_L3_without_the_right_to_threads() {
    local url
    haproxy_up threads "$lab/server.cnf" frontend
    url=https://localhost:$port/page
    unattested 'no threads' fetch /dev/null "$url"
    refuses 'no threads' 'alert internal error' fetch "$lab/client.cnf" "$url"
    says "$work/threads.log" "attest: error: handshake refused: cannot start the quoter's thread: "
    says "$work/threads.log" 'in HAProxy: insecure-fork-wanted'
}

# backend CONF PORT [OPTION...]: HAProxy as a client of that server. It knows the
# name that the certificate must have, and tells it to the server only with sni.
backend() {
    server_line="server upstream 127.0.0.1:$2 ssl verify required ca-file $lab/ca.pem verifyhost localhost ${*:3}"
    haproxy_up backend "$1" listen || fail 'HAProxy does not start'
}

listen() {
    cat <<END
listen upstream
    bind 127.0.0.1:$port
    http-reuse never
    http-after-response set-header Resumed %[ssl_bc_is_resumed]
    $server_line
END
}

through_haproxy() {
    with /dev/null curl --silent --show-error --fail --include --max-time "$seconds" \
        "http://127.0.0.1:$port/page"
}

test_P8_servers_with_and_without_name() {
    local sni
    policy_variant other-pcr 's/^pcr.7 .*/pcr.7 = '"$(printf 'ab%.0s' {1..32})/"
    for sni in '' 'sni str(localhost)'; do
        ATTEST_REPORT=$work/report backend "$lab/client.cnf" "$attested_port" "$sni"
        accepts 'server' through_haproxy
        same 'verdicts' 1 "$(grep -c ' is trusted (policy section lab' "$work/report")"
        rm "$work/report"
        backend "$work/other-pcr.cnf" "$attested_port" "$sni"
        refuses 'other PCR' 'The requested URL returned error: 503' through_haproxy
        says "$work/backend.log" 'attest::PCR 7 does not match policy: expected abab'
        backend /dev/null "$plain_port" "$sni"
        unattested 'plain server' through_haproxy
        backend "$lab/client.cnf" "$plain_port" "$sni"
        refuses 'plain server' 'The requested URL returned error: 503' through_haproxy
        says "$work/backend.log" 'sent no attestation evidence, which policy section lab requires'
    done
}

# Without a name nameless decides.
test_P8_nameless() {
    policy_variant named 's/^nameless .*/nameless = off/' 's/^names .*/names = localhost/'
    backend "$work/named.cnf" "$plain_port"
    accepts 'without name' through_haproxy
    backend "$work/named.cnf" "$plain_port" 'sni str(localhost)'
    refuses 'with name' 'error: 503' through_haproxy
    says "$work/backend.log" 'localhost sent no attestation evidence'
}

# The same under the policy of a lab without addresses.
test_P12_names_alone() {
    local port_now
    backend "$lab/client-names.cnf" "$attested_port" 'sni str(localhost)'
    accepts 'by name' through_haproxy
    backend "$lab/client-names.cnf" "$plain_port" 'sni str(localhost)'
    refuses 'plain server by name' 'error: 503' through_haproxy
    says "$work/backend.log" 'localhost sent no attestation evidence'
    for port_now in "$plain_port" "$attested_port"; do
        backend "$lab/client-names.cnf" "$port_now"
        refuses 'without a name' 'error: 503' through_haproxy
        says "$work/backend.log" 'nameless = refuse'
    done
}

# HAProxy keeps sessions of its servers, a thread each.
test_S3_sessions_with_servers_are_no_way_round() {
    local i
    backend /dev/null "$attested_port"
    for i in {1..8}; do
        accepts 'without attest' through_haproxy
    done
    [[ $output == *'resumed: 1'* ]] || fail 'HAProxy does not resume without attest'
    ATTEST_REPORT=$work/report backend "$lab/client.cnf" "$attested_port"
    for i in {1..8}; do
        accepts 'server' through_haproxy
        [[ $output == *'resumed: 0'* ]] || fail 'resumed'
    done
    same 'verdicts' 8 "$(grep -c ' is trusted (policy section lab' "$work/report")"
}

# A worker follows the policy without a reload, and through one.
test_P3_changed_policies() {
    policy_variant changing 's/^pcr.4 .*/& '"$(printf 'ab%.0s' {1..32})/"
    cp "$work/changing.policy.cnf" "$work/loose"
    backend "$work/changing.cnf" "$attested_port"
    local haproxy_pid=$spawned
    keep_asking through_haproxy
    reload_worker
    all_served
    sed 's/^pcr.7 .*/pcr.7 = '"$(printf 'ab%.0s' {1..32})/" "$work/loose" >"$work/new"
    mv "$work/new" "$work/changing.policy.cnf"
    await refused_by_haproxy || fail 'the changed policy is not taken up'
    says "$work/backend.log" 'attest::PCR 7 does not match policy: expected abab'
    mv "$work/loose" "$work/changing.policy.cnf"
    await through_haproxy || fail 'the former policy is not taken up'
}

refused_by_haproxy() {
    ! run through_haproxy && [[ $output == *'error: 503'* ]]
}

run_tests "$@"
