#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# attest check --pid and --service, of real processes: is that one attesting, and
# can its user reach the quoter?
# shellcheck source=lib.bash
. "${0%/*}/lib.bash"
need openssl swtpm

setup() {
    lab_up
    module=$(sed -n 's/^module *= *\([^ #]*\).*/\1/p' "$lab/server.cnf")
    chmod 755 "$scratch"
}

# check_pid STATUS [OPTION...]: of what was spawned last.
check_pid() {
    local expected=$1
    shift
    ends "$expected" attest check --pid "$spawned" --warn 0 "$@"
}

needs_root() {
    ((EUID == 0)) || skip 'needs root, to be somebody else'
}

# own_module NAME: $work/NAME.cnf, a server's with a copy of the module.
own_module() {
    cp "$module" "${module%/*}/attest-inner.so" "$work"
    variant server "$1" "s|^module .*|module = $work/attest.so|"
}

# replace FILE: as a package manager does it.
replace() {
    cp "$1" "$1.new"
    mv "$1.new" "$1"
}

# A program that has attest on, and has executed another one.
readonly starting='
import signal, ssl, subprocess, sys
context = ssl.create_default_context()
child = subprocess.Popen(sys.argv[1:])
def end(*_):
    child.kill()
    sys.exit()
signal.signal(signal.SIGTERM, end)
while True:
    signal.pause()'

# family CONF COMMAND...: COMMAND... s_server, started by what is spawned. Sets child.
family() {
    spawn family with_exec "$1" python3 -c "$starting" "${@:2}" s_server -accept 0 -nocert -quiet
    await has_child || fail 'no child'
    # By then it has read its configuration.
    await listens_at_all "$child" || fail 'the child does not listen'
}

has_child() {
    child=$(<"/proc/$spawned/task/$spawned/children")
    child=${child%% *}
    [[ -n $child && $(readlink "/proc/$child/exe") == *openssl ]]
}

listens_at_all() {
    local inode
    inode=$(readlink "/proc/$1/fd/3" | tr -dc 0-9)
    [[ -n $inode ]] && grep -q " 0A .* $inode " /proc/net/tcp /proc/net/tcp6
}

# has_lost CAUSE [NEXT]: what --pid says of the child.
has_lost() {
    check_pid 2
    prints "is on in process $spawned"
    prints "FAIL  loaded: process $child ($(readlink "/proc/$child/exe")) of it has OpenSSL and runs without attest.so: $1"
    [[ -z ${2:-} ]] || prints "$2"
}

test_C12_children_that_have_lost_the_configuration() {
    need_python
    local conf=$lab/client.cnf
    family "$conf" openssl
    check_pid 0
    prints_not 'without attest.so'
    family "$conf" env -u OPENSSL_CONF openssl
    has_lost "it was started without OPENSSL_CONF=$conf. Hand the variable on to it"
    family "$conf" env OPENSSL_CONF=/dev/null openssl
    has_lost 'it goes by another file, OPENSSL_CONF=/dev/null'
}

test_C12_children_whose_user_cannot_read_it() {
    needs_root
    need_python
    chmod 755 "$scratch" "$work" "$lab"
    local -a nobody=(setpriv --reuid=nobody --regid=nogroup --clear-groups --)
    variant client own 's/^log_level.*/log_level = warn/'
    chmod 644 "$work/own.cnf"
    family "$work/own.cnf" "${nobody[@]}" openssl
    check_pid 0
    prints_not 'without attest.so'
    chmod 600 "$work/own.cnf"
    family "$work/own.cnf" "${nobody[@]}" openssl
    has_lost "nobody (65534), as it runs there, cannot read (Permission denied) $work/own.cnf. Let it read the file"
}

test_C12_C3_children_with_a_right_of_their_file() {
    needs_root
    need_python
    command -v setcap >/dev/null || skip 'setcap is missing'
    chmod 755 "$scratch" "$work" "$lab"
    install -m 755 "$(command -v openssl)" "$work/openssl"
    setcap cap_net_bind_service+ep "$work/openssl" || skip 'cannot give capabilities'
    family "$lab/client.cnf" setpriv --reuid=nobody --regid=nogroup --clear-groups -- "$work/openssl"
    has_lost 'its real and effective ids differed when it was executed, or it is setuid, setgid or has file capabilities (AT_SECURE), so OpenSSL ignores OPENSSL_CONF=' \
        "Configure attest in the system's openssl.cnf"
}

# Nothing is loaded in what only starts others.
test_C12_what_has_no_openssl_itself() {
    # shellcheck disable=SC2016 # the other shell's variables
    local starter='trap "kill \$!; exit" TERM; "$@" & wait' sh
    sh=$(readlink -f "$(command -v sh)")
    spawn starter with_exec "$lab/server.cnf" sh -c "$starter" sh openssl s_server -accept 0 -www \
        -cert "$lab/server.pem" -key "$lab/server.key"
    await listens "$work/starter.log"
    child=$(<"/proc/$spawned/task/$spawned/children")
    check_pid 0
    prints "note  process: $spawned ($sh) has no OpenSSL: of those that it has started, ${child% } ("
    prints "is on in process ${child% }"
    prints "ok    port: $port answers with evidence"
    prints_not 'FAIL'
    spawn starter with_exec "$lab/server.cnf" sh -c "$starter" sh env -u OPENSSL_CONF \
        openssl s_server -accept 0 -www -cert "$lab/server.pem" -key "$lab/server.key"
    await listens "$work/starter.log"
    check_pid 2
    prints "of it has OpenSSL and runs without attest.so: it was started without OPENSSL_CONF=$lab/server.cnf"
    # The same as a service, whose unit has the variable.
    systemctl_says web.service ActiveState=active "MainPID=$spawned" ControlGroup= User= After= \
        RootDirectory= "Environment=OPENSSL_CONF=$lab/server.cnf"
    ends 2 attest check --service web.service --warn 0
    prints "of it has OpenSSL and runs without attest.so: it was started without OPENSSL_CONF=$lab/server.cnf"
}

# As Dovecot's master: it is linked to OpenSSL and never uses it.
test_C12_what_has_openssl_and_only_starts_others() {
    need_python
    local mapping=$'import ctypes\nctypes.CDLL("libssl.so.3")\n' python
    # Whatever else of its own uses OpenSSL finds no attest.
    spawn mapping with_exec /dev/null python3 -c "$mapping$starting" \
        env OPENSSL_CONF="$lab/server.cnf" openssl s_server \
        -accept 0 -www -cert "$lab/server.pem" -key "$lab/server.key"
    await listens "$work/mapping.log"
    child=$(<"/proc/$spawned/task/$spawned/children")
    python=$(readlink "/proc/$spawned/exe")
    check_pid 0
    prints "warn  process: $spawned ($python) has OpenSSL mapped and runs without attest.so: of those that it has started, ${child% } ("
    prints 'If it does TLS itself, restart it'
    prints "is on in process ${child% }"
    prints "ok    port: $port answers with evidence"
    prints_not 'FAIL'
    # No one has the module: it is the named one that is looked at.
    spawn mapping with_exec /dev/null python3 -c "$mapping$starting" openssl s_server \
        -accept 0 -www -cert "$lab/plain.pem" -key "$lab/plain.key"
    await listens "$work/mapping.log"
    check_pid 2 --conf "$lab/server.cnf"
    prints "FAIL  loaded: process $spawned runs without attest.so"
}

test_a_proving_server_is_on() {
    serve on "$lab/server.cnf"
    check_pid 0
    prints "ok    process: $spawned is "
    prints "ok    library: "
    prints "$module is on in process $spawned, and it has made a TLS context"
    prints "note  environment: OPENSSL_CONF=$lab/server.cnf"
    prints "ok    configuration: $lab/server.cnf"
    prints 'ok    event log: '
    prints 'gets evidence from swtpm:'
    prints "ok    port: $port answers with evidence of "
    prints_not 'FAIL'
    prints_not 'warn'
    check_pid 0 --json
    prints '"result":"ok"'
}

test_C1_a_server_without_the_module() {
    serve off /dev/null
    check_pid 2
    prints "FAIL  loaded: process $spawned runs without attest.so"
    prints '/dev/null is not a regular file'
    # Once it is configured the process is still the one of before.
    check_pid 2 --conf "$lab/server.cnf"
    prints 'it was started before attest was configured: restart it'
    prints "ok    configuration: $lab/server.cnf"
    prints_not "port: $port"
}

test_C10_a_broken_configuration() {
    variant server typo 's/^attester /attster /'
    serve typo "$work/typo.cnf"
    check_pid 2
    prints "is on in process $spawned"
    prints 'FAIL  unknown key: '
    prints 'Did you mean attester?'
}

test_configuration_changed_since() {
    variant server changed 's/^log_level.*/log_level = info/'
    serve changed "$work/changed.cnf"
    check_pid 0
    sleep 1.1
    touch "$work/changed.cnf"
    check_pid 0
    prints "warn  configuration: $work/changed.cnf was changed after process $spawned began"
    check_pid 2 --strict
    # In place of it one that is older than the process.
    touch -r "$lab/server.cnf" "$work/changed.cnf"
    check_pid 0
    prints "warn  configuration: $work/changed.cnf was replaced, or its owner or rights were changed, after process $spawned began"
}

# by_clock SECONDS: of what was spawned last, where the wall clock has been set by so
# many since then.
by_clock() {
    run env "LD_PRELOAD=$work/clock.so" ASAN_OPTIONS=verify_asan_link_order=0 SECONDS_SET="$1" \
        "$ATTEST_BUILDDIR/attest" check --warn 0 --pid "$spawned" || fail "ends with $?"
    prints "ok    configuration: $work/set.cnf"
}

readonly clock='
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>
static long set;
__attribute__((constructor)) static void read_it(void)
{
    set = atol(getenv("SECONDS_SET"));
}
int clock_gettime(clockid_t id, struct timespec *now)
{
    int (*real)(clockid_t, struct timespec *) =
        (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int r = real(id, now);

    if (id == CLOCK_REALTIME)
        now->tv_sec += set;
    return r;
}'

test_the_clock_was_set_since() {
    command -v "${CC:-cc}" >/dev/null || skip 'no compiler'
    "${CC:-cc}" -shared -fPIC -o "$work/clock.so" -xc - <<<"$clock"
    variant server set 's/^log_level.*/log_level = info/'
    serve set "$work/set.cnf"
    by_clock 0
    prints_not 'was changed after'
    prints_not 'cannot tell'
    by_clock 37
    prints_not 'was changed after'
    prints_not 'cannot tell'
    by_clock -3600
    prints_not 'was changed after'
    prints "note  configuration: cannot tell whether $work/set.cnf was changed before process $spawned began or after: "
    sleep 1.1
    touch "$work/set.cnf"
    by_clock 0
    prints "warn  configuration: $work/set.cnf was changed after process $spawned began"
}

test_a_program_that_has_no_openssl() {
    spawn sleeper sleep "$seconds"
    check_pid 2
    prints "FAIL  library: process $spawned has loaded no OpenSSL"
    ends 2 attest check --pid 2147483646
    prints 'there is no process 2147483646'
}

test_module_upgraded_under_it() {
    own_module own
    serve own "$work/own.cnf"
    check_pid 0 --strict
    replace "$work/attest.so"
    check_pid 0
    prints "warn  upgrade: process $spawned still runs the $work/attest.so of before"
    prints_not "the $work/attest-inner.so of before"
    # Nobody who starts now would have it.
    rm "$work/attest-inner.so"
    check_pid 2
    prints "the $work/attest-inner.so of before"
    prints "FAIL  module: $work/attest-inner.so (beside attest.so): No such file"
    prints "ok    port: $port answers with evidence"
}

test_program_upgraded_under_it() {
    local copy=$work/openssl
    cp "$(command -v openssl)" "$copy"
    spawn copy with_exec "$lab/server.cnf" "$copy" s_server -accept 0 -www \
        -cert "$lab/server.pem" -key "$lab/server.key"
    await listens "$work/copy.log"
    check_pid 0 --strict
    replace "$copy"
    check_pid 0
    prints "warn  upgrade: process $spawned still runs the $copy of before"
}

test_another_user_may_not_use_what_root_may() {
    needs_root
    as_nobody
    chmod 755 "$scratch" "$work" "$lab"
    # The server is nobody's and reads the chain while it may.
    install -m 600 -o nobody "$lab/ak-chain.pem" "$work/chain.pem"
    variant server nobody "s|^ak_chain .*|ak_chain = $work/chain.pem|"
    install -m 600 -o nobody "$lab/server.key" "$work/server.key"
    serve nobody "$work/nobody.cnf" -cert "$lab/server.pem" -key "$work/server.key"
    check_pid 0
    prints 'nobody (65534) gets evidence from swtpm:'
    prints_not 'root (0)'
    chown root "$work/chain.pem"
    check_pid 2
    prints "FAIL  attester: "
    prints "$work/chain.pem"
    prints 'Permission denied'
    # Who has not the rights is told so.
    as_user=(env)
    serve root "$lab/server.cnf"
    ends 2 setpriv --reuid=nobody --regid=nogroup --clear-groups \
        "$ATTEST_BUILDDIR/attest" check --pid "$spawned"
    prints "FAIL  process: what process $spawned has mapped and its environment cannot be seen: Permission denied. Run this as root, or as its user"
    prints "process: $spawned is openssl as root (0)"
    # A root of less than all rights, as in a container.
    as_nobody
    serve nobody "$lab/server.cnf" -cert "$lab/server.pem" -key "$work/server.key"
    ends 2 setpriv --bounding-set=-sys_ptrace --inh-caps=-sys_ptrace \
        "$ATTEST_BUILDDIR/attest" check --pid "$spawned"
    prints 'Even root may not: a container, or kernel.yama.ptrace_scope'
}

test_its_user_may_check_it() {
    needs_root
    as_nobody
    chmod 755 "$scratch" "$work" "$lab"
    install -m 600 -o nobody "$lab/server.key" "$work/server.key"
    serve nobody "$lab/server.cnf" -cert "$lab/server.pem" -key "$work/server.key"
    ends 0 setpriv --reuid=nobody --regid=nogroup --clear-groups \
        "$ATTEST_BUILDDIR/attest" check --warn 0 --pid "$spawned"
    prints 'nobody (65534) gets evidence from swtpm:'
    prints "ok    port: $port answers with evidence"
}

test_C3_file_capabilities() {
    needs_root
    command -v setcap >/dev/null || skip 'setcap is missing'
    as_nobody
    install -m 755 "$(command -v openssl)" "$work/openssl"
    setcap cap_net_bind_service+ep "$work/openssl" || skip 'cannot give capabilities'
    chmod 755 "$scratch" "$work" "$lab"
    install -m 600 -o nobody "$lab/server.key" "$work/server.key"
    spawn secure with_exec "$lab/server.cnf" "$work/openssl" \
        s_server -accept 0 -www -cert "$lab/server.pem" -key "$work/server.key"
    await listens "$work/secure.log"
    check_pid 2
    prints "OpenSSL ignores OPENSSL_CONF=$lab/server.cnf in it"
    prints "FAIL  loaded: process $spawned runs without attest.so"
    prints_not "configuration: $lab/server.cnf"
}

test_no_TLS_1_3() {
    serve old "$lab/server.cnf" -tls1_2
    check_pid 2
    prints "FAIL  port: $port speaks no TLS 1.3"
    prints 'ssl_protocols'
    variant server limited 's/^providers .*/&\nssl_conf = ssl_sect/' \
        '$a [ssl_sect]\nsystem_default = limits\n[limits]\nMaxProtocol = TLSv1.2'
    serve limited "$work/limited.cnf"
    check_pid 2
    prints 'FAIL  TLS 1.3: [limits] has MaxProtocol = TLSv1.2'
    prints "FAIL  port: $port speaks no TLS 1.3"
}

test_C8_network_of_its_own() {
    needs_root
    unshare --net true || skip 'cannot have a network of its own'
    spawn alone with_exec "$lab/server.cnf" unshare --net \
        openssl s_server -accept 0 -www -cert "$lab/server.pem" -key "$lab/server.key"
    await listens "$work/alone.log"
    check_pid 4
    prints 'has a network of its own'
    prints 'FAIL  rights: root (0) gets no evidence: '
    prints "note  port: $port: no TLS there"
}

test_C8_mounts_of_its_own() {
    needs_root
    unshare --mount true || skip 'cannot have mounts of its own'
    variant server hidden "s|^measured_log .*|measured_log = $work/hidden/events.cel|"
    mkdir "$work/hidden"
    cp "$lab/events.cel" "$work/hidden"
    # What is read later is not where it was.
    spawn hidden with_exec "$work/hidden.cnf" unshare --mount sh -c "
        mount -t tmpfs none '$work/hidden' && exec openssl s_server -accept 0 -www \
            -cert '$lab/server.pem' -key '$lab/server.key'"
    await listens "$work/hidden.log"
    ends 0 attest check --warn 0 --conf "$work/hidden.cnf"
    check_pid 2
    prints 'has mounts of its own'
    prints 'FAIL  event log: '
    prints "$work/hidden/events.cel"
}

readonly confining='
import os, signal, ssl, sys
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
os.chroot(sys.argv[1]); os.chdir("/")
os.setgroups([]); os.setgid(65534); os.setuid(65534)
print("confined", flush=True)
signal.pause()'

# A program that makes its context, then goes into a root of its own.
confined() {
    local name=$1 conf=$2
    spawn "$name" with_exec "$conf" python3 -c "$confining" "$work/root"
    says "$work/$name.log" confined
}

# root_with_log: as a quoter that is in a chroot reads the measured log there.
root_with_log() {
    mkdir -p "$work/root$lab"
    cp "$lab/events.cel" "$work/root$lab"
}

test_a_root_of_its_own() {
    needs_root
    need_python
    mkdir -p "$work/root"
    confined root "$lab/server.cnf"
    check_pid 2
    prints "FAIL  rights: nobody (65534) gets no evidence: $lab/events.cel is not there, yet PCR 15 is not zero: lost (kexec), out of sight (chroot), or the PCR extended by others"
    root_with_log
    check_pid 0
    prints "has the root $work/root"
    prints "ok    configuration: $lab/server.cnf"
    prints 'nobody (65534) gets evidence from swtpm:'
}

# A policy that it cannot read any more is one that it does not follow.
test_P3_a_policy_out_of_reach() {
    needs_root
    need_python
    mkdir -p "$work/root"
    confined client "$lab/client.cnf"
    check_pid 0
    prints "warn  rights: nobody (65534), in the root $work/root, cannot read $lab/policy.cnf (No such file or directory): process $spawned goes by what it has read before, whatever changes. Restart the program after each change"
    mkdir -p "$work/root$lab"
    cp "$lab/policy.cnf" "$work/root$lab"
    chmod 600 "$work/root$lab/policy.cnf"
    check_pid 0
    prints "cannot read $lab/policy.cnf (Permission denied): process $spawned"
    chmod 644 "$work/root$lab/policy.cnf"
    check_pid 0
    prints_not 'whatever changes'
}

# What has made no TLS context before it went there will not make one.
test_S33_a_root_of_its_own_before_the_first_context() {
    local conf
    needs_root
    need_python
    root_with_log
    variant server ready 's/^log .*/&\nmap = start/'
    for conf in "$lab/server.cnf" "$work/ready.cnf"; do
        spawn late with_exec "$conf" python3 -c "${confining/context = */import hashlib; hashlib.sha256()}
${confining#*SERVER)}" "$work/root"
        says "$work/late.log" confined
        if [[ $conf == "$lab/server.cnf" ]]; then
            check_pid 2
            prints "FAIL  settings: process $spawned is in a chroot and has made no TLS context so far: it cannot make one there. Write map = start into the section that has module, and restart it"
        else
            check_pid 0
        fi
    done
}

test_a_root_of_its_own_and_the_systems_file() {
    local system
    needs_root
    [[ $(nsenter --mount=/proc/self/ns/mnt stat -c %d:%i /) == $(stat -c %d:%i /) ]] ||
        skip 'this is not the root of its mount namespace'
    need_python
    unshare --mount true || skip 'cannot have mounts of its own'
    root_with_log
    system=$(openssl version -d)
    system=$(realpath "$(cut -d'"' -f2 <<<"$system")/openssl.cnf")
    prepare_for python3
    spawn system env -u OPENSSL_CONF "${sanitizer[@]}" unshare --mount sh -c \
        "mount --bind '$lab/server.cnf' '$system' && exec python3 -c '$confining' '$work/root'"
    says "$work/system.log" confined
    check_pid 0
    prints "has mounts of its own"
    prints "ok    configuration: /"
    prints "is on in process $spawned"
    prints 'nobody (65534) gets evidence from swtpm:'
}

# Files of a root that is not the machine's are read, but nothing of them is run.
test_C8_a_container() {
    local inside=$work/container folder
    needs_root
    [[ -L /lib && -L /bin ]] || skip '/usr is not all there is of programs'
    unshare --mount true || skip 'cannot have mounts of its own'
    variant server inside 's/^log_level.*/log_level = info/'
    mkdir "$inside"
    {
        printf 'set -e\nmount -t tmpfs none "%s"\ncd "%s"\n' "$inside" "$inside"
        for folder in /usr /etc /dev "$scratch" "${module%/*}"; do
            printf 'mkdir -p ".%s"\nmount --rbind "%s" ".%s"\n' "$folder" "$folder" "$folder"
        done
        printf 'ln -s usr/lib usr/lib64 usr/bin usr/sbin .\n'
        printf 'exec chroot . openssl s_server -accept 0 -www -cert "%s" -key "%s"\n' \
            "$lab/server.pem" "$lab/server.key"
    } >"$work/container.sh"
    spawn container with_exec "$work/inside.cnf" unshare --mount sh "$work/container.sh"
    await listens "$work/container.log"
    check_pid 0
    prints 'has mounts of its own'
    prints "ok    configuration: $work/inside.cnf"
    grep -qxF "ok    module: $module" <<<"$output" || fail 'it has loaded the module'
    prints 'root (0) gets evidence from swtpm:'
    prints "ok    port: $port answers with evidence"
    # Its devices are not ours to open.
    sed 's|^quoter .*|quoter = tcti:device:/dev/null|' "$work/inside.cnf" >"$work/device.cnf"
    chmod 644 "$work/device.cnf"
    check_pid 0 --conf "$work/device.cnf"
    prints 'tcti:device:/dev/null is not tried: devices of a container are not opened from outside'
}

need_python() {
    python3 -c 'import ssl' 2>/dev/null || skip 'python3 is missing'
}

# nginx_up [PROTOCOLS [CONF]]: forked workers, and a title over the environment.
nginx_up() {
    needs_root
    command -v nginx >/dev/null || skip 'nginx is missing'
    id www-data >/dev/null 2>&1 || skip 'there is no www-data'
    local listen
    listen=$(free_port)
    cat >"$work/nginx.conf" <<END
daemon off; pid $work/nginx.pid; error_log $work/error.log; user www-data;
worker_processes 2;
events { }
http {
    access_log off;
    client_body_temp_path $work/t1; proxy_temp_path $work/t2; fastcgi_temp_path $work/t3;
    uwsgi_temp_path $work/t4; scgi_temp_path $work/t5;
    server {
        listen 127.0.0.1:$listen ssl;
        ssl_certificate $lab/server.pem; ssl_certificate_key $lab/server.key;
        ssl_protocols ${1:-TLSv1.3};
    }
}
END
    spawn nginx with_exec "${2:-$lab/server.cnf}" nginx -c "$work/nginx.conf"
    port=$listen
    await test -s "$work/nginx.pid"
    await answers
}

answers() {
    (: <>"/dev/tcp/127.0.0.1/$port") 2>/dev/null
}

test_C8_workers_of_nginx() {
    nginx_up
    check_pid 2
    prints 'warn  environment: process '
    prints "FAIL  configuration: not known which file process $spawned has read: it runs $module"
    prints 'Name it with --conf (often /etc/attest/openssl.cnf)'
    prints_not 'FAIL  providers'
    prints_not 'FAIL  openssl_conf'
    check_pid 0 --conf "$lab/server.cnf"
    prints 'with 2 more of the same program'
    prints 'root (0) gets evidence from swtpm:'
    prints 'www-data (33) gets evidence from swtpm:'
    prints "ok    port: $port answers with evidence"
    same 'tries' 2 "$(grep -c 'gets evidence from' <<<"$output")"
}

test_S2_nginx_without_TLS_1_3() {
    nginx_up TLSv1.2
    check_pid 2 --conf "$lab/server.cnf"
    prints "FAIL  port: $port speaks no TLS 1.3"
}

# The agent, which serves www-data, over $work/agent/agent.sock; service.cnf is for
# those that ask it.
agent_up() {
    needs_root
    chmod 755 "$scratch" "$work" "$lab"
    mkdir -p "$work/agent"
    {
        printf '[attestd]\nsocket = %s\nallow = www-data\nlog = stderr\n' "$work/agent/agent.sock"
        grep -E '^(quoter|timeout|ak|ak_chain|pcrs|boot_log|measured_log) ' "$lab/server.cnf"
    } >"$work/attestd.cnf"
    variant server service "s|^quoter .*|quoter = unix:$work/agent/agent.sock|" \
        '/^\(ak\|ak_chain\|pcrs\|boot_log\|measured_log\) /d'
    agent_start
}

agent_start() {
    spawn agent "$ATTEST_BUILDDIR/attestd" --config "$work/attestd.cnf"
    says "$work/agent.log" 'listening on'
}

test_B4_workers_ask_the_agent() {
    agent_up
    ends 0 attest check --conf "$work/service.cnf" --warn 0
    prints "ok    AK chain: the agent's chain: 1 certificate"
    prints "ok    event log: the agent's replays to PCR 15"
    ends 0 attest policy --here --host localhost --conf "$work/service.cnf" \
        --trust "$lab/ak-roots.pem"
    prints 'component.'
    nginx_up TLSv1.3 "$work/service.cnf"
    check_pid 0 --conf "$work/service.cnf"
    prints "www-data (33) gets evidence from $work/agent/agent.sock"
    prints "ok    port: $port answers with evidence"
    prints_not 'warn'
    sed -i '/^allow/d' "$work/attestd.cnf"
    local server=$spawned
    agent_start
    ends 4 attest check --warn 0 --conf "$work/service.cnf" --pid "$server"
    prints "root (0) gets evidence from $work/agent/agent.sock"
    prints 'FAIL  rights: www-data (33) gets no evidence: user 33 may not ask this agent'
    # Others can stand in for it.
    chmod 777 "$work/agent"
    ends 2 attest check --warn 0 --conf "$work/service.cnf"
    prints 'FAIL  socket: others can replace '
}

digest_of() {
    openssl x509 -in "$1" -outform der | sha256sum | cut -d' ' -f1
}

# Whoever does not ask is served: that is no server in order.
test_B4_a_certificate_that_was_not_measured() {
    agent_up
    serve plain "$work/service.cnf" -cert "$lab/plain.pem" -key "$lab/plain.key"
    check_pid 2
    prints 'root (0) gets evidence from '
    prints "FAIL  port: $port serves certificate CN="
    prints ", sha256:$(digest_of "$lab/plain.pem"), which is not in the measured log. Put it into [certificates] of attestd.cnf and run attest measure --all"
    prints_not 'tlsv1 alert'
}

# agent_by_hand MODE-OF-LOG: as nobody, in a folder of his own.
agent_by_hand() {
    agent_up
    stop "${pids[agent]}"
    rm -f "$work/agent/agent.sock"*
    chown nobody "$work/agent"
    install -m "$1" "$lab/events.cel" "$work/events.cel"
    sed -i "s|^measured_log .*|measured_log = $work/events.cel\ncertificate = any|" \
        "$work/attestd.cnf"
    spawn agent setpriv --reuid=nobody --regid=nogroup --clear-groups -- \
        "$ATTEST_BUILDDIR/attestd" --config "$work/attestd.cnf"
    says "$work/agent.log" 'listening on'
}

test_an_agent_started_by_hand() {
    agent_by_hand 644
    ends 0 attest check --conf "$work/service.cnf" --warn 0
    prints_not 'warn  socket'
    chown daemon "$work/agent/agent.sock"
    ends 0 attest check --conf "$work/service.cnf" --warn 0
    prints "warn  socket: $work/agent/agent.sock belongs to daemon (1). Right for an agent of that user, started by hand; with attestd.socket it is root's"
}

test_an_agent_that_may_not_read_its_log() {
    agent_by_hand 600
    ends 2 attest check --conf "$work/service.cnf" --warn 0
    prints "FAIL  event log: the measured log cannot be read: cannot open $work/events.cel: Permission denied. Attested handshakes fail like this"
}

# Workers that were connected before their way was closed.
test_a_way_that_was_closed() {
    agent_up
    nginx_up TLSv1.3 "$work/service.cnf"
    check_pid 0 --conf "$work/service.cnf"
    chmod 700 "$work/agent"
    check_pid 0 --conf "$work/service.cnf"
    prints "warn  rights: www-data (33) may not connect to $work/agent/agent.sock, but process "
    prints 'good until the agent restarts'
    prints "ok    port: $port answers with evidence"
    local server=$spawned
    chmod 755 "$work/agent"
    agent_start
    chmod 600 "$work/agent/agent.sock"
    ends 4 attest check --warn 0 --conf "$work/service.cnf" --pid "$server"
    prints 'FAIL  rights: www-data (33) gets no evidence: user 33 may not reach the agent'
    prints "FAIL  port: $port serves TLS but gives no evidence. See journalctl -u attestd and the server's log"
}

test_E18_an_agent_whose_log_lost_events() {
    agent_up
    sed '$d' "$lab/events.cel" >"$work/events.cel"
    sed -i -e "s|^measured_log .*|measured_log = $work/events.cel|" -e '$a certificate = any' \
        "$work/attestd.cnf"
    agent_start
    ends 2 attest check --conf "$work/service.cnf" --warn 0
    prints "FAIL  event log: PCR 15 was extended by others, or the log lost events: $work/events.cel leads to sha256:"
    prints 'reboot, or set measure_pcr to another PCR. Attested handshakes fail like this'
}

test_here_is_no_file_of_the_agent() {
    agent_up
    ends 2 attest policy --here --host localhost --conf "$work/attestd.cnf" \
        --trust "$lab/ak-roots.pem"
    prints "$work/attestd.cnf is the agent's: name an openssl.cnf with quoter = unix:"
}

# What is meant for a log that cannot be opened goes elsewhere.
test_a_log_that_cannot_be_opened() {
    variant server log "s|^log .*|log = $work/missing/attest.log|"
    serve log "$work/log.cnf"
    check_pid 2
    prints "cannot open $work/missing/attest.log for writing: No such file or directory"
    ends 2 attest check --warn 0 --conf "$work/log.cnf"
    prints 'Make its folder'
    mkdir "$work/missing"
    check_pid 0
    needs_root
    as_nobody
    chmod 755 "$scratch" "$work" "$lab" "$work/missing"
    install -m 600 -o nobody "$lab/server.key" "$work/server.key"
    serve nobody "$work/log.cnf" -cert "$lab/server.pem" -key "$work/server.key"
    as_user=(env)
    ends 0 attest check --warn 0 --conf "$work/log.cnf"
    check_pid 2
    prints "FAIL  log: nobody (65534) cannot open $work/missing/attest.log for writing: Permission denied"
}

test_C8_the_agent_is_down() {
    agent_up
    serve service "$work/service.cnf"
    check_pid 0
    local server=$spawned
    stop "${pids[agent]}"
    ends 4 attest check --warn 0 --pid "$server"
    prints 'FAIL  evidence: '
    prints 'systemctl start attestd.socket'
    prints "FAIL  port: $port serves TLS but gives no evidence: no agent at "
    prints 'FAIL  rights: root (0) gets no evidence: '
    ends 4 attest check --warn 0 --conf "$work/service.cnf"
}

test_B4_a_server_in_the_group_of_the_TPM() {
    agent_up
    getent group tss >/dev/null || skip 'there is no group tss'
    install -m 600 -o www-data "$lab/server.key" "$work/server.key"
    as_user=(setpriv --reuid=www-data --regid=www-data --groups=tss --)
    spawn tss with_exec "$work/service.cnf" openssl s_server -accept 0 -www \
        -cert "$lab/server.pem" -key "$work/server.key"
    await listens "$work/tss.log"
    check_pid 0
    prints 'warn  rights: www-data (33) '
    prints 'who takes over the server can have anything quoted'
    check_pid 2 --strict
}

# In a chroot, as HAProxy: what was opened before works until the agent restarts.
test_C8_the_agent_out_of_reach() {
    need_python
    mkdir -p "$work/root"
    agent_up
    sed -i 's/^allow .*/allow = nobody/' "$work/attestd.cnf"
    agent_start
    confined root "$work/service.cnf"
    check_pid 0
    prints "warn  rights: nobody (65534) cannot reach $work/agent/agent.sock in its root $work/root, but process $spawned holds a connection that was made before"
    prints "BindReadOnlyPaths=$work/agent:$work/root$work/agent"
    local server=$spawned
    agent_start
    ends 4 attest check --warn 0 --pid "$server"
    prints "FAIL  rights: nobody (65534) gets no evidence in its root $work/root: "
    # What can be found there is in reach: a link is as good as a mount.
    mkdir -p "$work/root$work/agent"
    ln "$work/agent/agent.sock" "$work/root$work/agent"
    ends 0 attest check --warn 0 --pid "$server"
    prints "nobody (65534) gets evidence from $work/agent/agent.sock"
}

# systemctl_says UNIT PROPERTY...: takes the place of systemd's. Units that it was
# not told of are not there.
systemctl_says() {
    local unit=$1
    shift
    mkdir -p "$work/bin" "$work/units"
    printf '%s\n' "Id=$unit" LoadState=loaded "$@" >"$work/units/$unit"
    cat >"$work/bin/systemctl" <<END
#!/bin/sh
[ "\$1 \$2 \$3 \$5" = 'show --no-pager --property --' ] || exit 1
cat "$work/units/\$6" 2>/dev/null || echo LoadState=not-found
END
    chmod +x "$work/bin/systemctl"
    PATH=$work/bin:$PATH
}

test_service_that_runs() {
    nginx_up
    systemctl_says nginx.service ActiveState=active "MainPID=$spawned" ControlGroup= User= \
        After=network.target RootDirectory= \
        "Environment=A=b \"OPENSSL_CONF=$lab/server.cnf\" C=d"
    ends 0 attest check --service nginx.service --warn 0
    prints 'taken from the unit nginx.service'
    prints "ok    configuration: $lab/server.cnf"
    prints 'nginx hands OPENSSL_CONF on to a new binary'
    prints 'www-data (33) gets evidence from swtpm:'
    prints "ok    port: $port answers with evidence"
    prints_not 'warn'
    systemctl_says attest-measure.service
    systemctl_says attestd.socket
    ends 0 attest check --service nginx.service --warn 0
    prints 'warn  service: nginx.service is not ordered After=attest-measure.service'
    prints_not 'After=attestd.socket' # with tcti:
}

test_service_that_is_stopped() {
    printf '# of its admin\nOPENSSL_CONF="%s"\n' "$lab/server.cnf" >"$work/default"
    systemctl_says web.service ActiveState=inactive MainPID=0 ControlGroup= \
        "User=$(id -un)" After= RootDirectory= Environment=OPENSSL_CONF=/nonexistent \
        "EnvironmentFiles=$work/default (ignore_errors=yes)"
    ends 0 attest check --service web.service --warn 0
    prints 'warn  service: web.service is not running (inactive)'
    prints "ok    configuration: $lab/server.cnf"
    prints "$(id -un) ($(id -u)) gets evidence from swtpm:"
    variant server device 's|^quoter .*|quoter = tcti:device:/dev/nonexistent|'
    systemctl_says web.service ActiveState=inactive MainPID=0 PrivateDevices=yes \
        "User=$(id -un)" \
        "Environment=OPENSSL_CONF=$work/device.cnf"
    ends 4 attest check --service web.service --warn 0
    prints 'FAIL  service: web.service has PrivateDevices=yes: there is no TPM in its /dev'
    systemctl_says web.service ActiveState=failed MainPID=0 User=nobodyatall \
        "Environment=OPENSSL_CONF=$lab/server.cnf"
    ends 2 attest check --service web.service --warn 0
    prints 'there is no user nobodyatall'
}

# Debian's postfix.service, postgresql.service.
test_service_that_stands_for_others() {
    systemctl_says postfix.service ActiveState=active MainPID=0 ControlGroup= \
        "Environment=OPENSSL_CONF=$lab/server.cnf"
    ends 2 attest check --service postfix.service --warn 0
    prints 'FAIL  service: postfix.service is active without a process: nothing to look at. If it stands for instances, name one'
    prints_not 'ok    '
}

test_C12_service_that_is_stopped_and_known() {
    systemctl_says squid.service ActiveState=inactive MainPID=0 ControlGroup= \
        "User=$(id -un)" After= RootDirectory= "Environment=OPENSSL_CONF=$lab/client.cnf" \
        'ExecStart={ path=/usr/sbin/squid ; argv[]=/usr/sbin/squid --foreground -sYC ; ignore_errors=no }'
    ends 0 attest check --service squid.service --warn 0
    prints 'warn  program: /usr/sbin/squid has kids that run with other effective ids than real ones'
}

test_service_that_is_not_there() {
    systemctl_says other.service
    ends 2 attest check --service web.service
    prints 'FAIL  service: systemd has no unit web.service'
    ends 2 attest check --service '$(id)'
    prints 'not the name of a systemd unit'
    # No option of systemctl: it stands behind "--".
    ends 2 attest check --service=--version
    prints 'systemd has no unit --version'
    printf '#!/bin/sh\nexit 1\n' >"$work/bin/systemctl"
    ends 2 attest check --service web.service
    prints 'no systemd runs here?'
    ends 2 env "PATH=$work/units" "$ATTEST_BUILDDIR/attest" check --service web.service
    prints 'systemctl: No such file or directory'
}

run_tests "$@"
