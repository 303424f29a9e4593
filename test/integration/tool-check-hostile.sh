#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# attest check --pid and --service by root, of processes whose user is against him:
# nothing that their configuration names is run, opened as root or written to.
# shellcheck source=lib.bash
. "${0%/*}/lib.bash"
need openssl python3 setpriv swtpm

setup() {
    ((EUID == 0)) || skip_all 'needs root, to be somebody else'
    lab_up
    chmod 755 "$scratch"
    module=$(sed -n 's/^module *= *\([^ #]*\).*/\1/p' "$lab/server.cnf")
}

check() {
    local expected=$1
    shift
    ends "$expected" timeout 30 "$ATTEST_BUILDDIR/attest" check --warn 0 "$@"
}

# Looks as if he had been root: PR_SET_DUMPABLE.
readonly hiding='
import ctypes, signal
ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)
print("hides", flush=True)
signal.pause()'

# hostile CONF [NAME=VALUE...]: nobody's, with a configuration of his own.
hostile() {
    local conf=$1
    shift
    as_nobody
    chmod 755 "$scratch" "$work" "$lab"
    install -d -m 777 "$work/his"
    [[ $conf != "$work"/* ]] || chown nobody "$conf"
    spawn hostile "${as_user[@]}" env OPENSSL_CONF="$conf" "$@" python3 -c "$hiding"
    says "$work/hostile.log" hides
}

nothing_ran() {
    [[ ! -e $work/his/ran ]] || fail 'what he names was run'
}

# victim: a file of root's, and that it stays as it is.
victim() {
    install -m 600 /dev/null "$work/victim"
    printf 'of root\n' >"$work/victim"
}

victim_is_whole() {
    same 'the victim' 'of root' "$(cat "$work/victim")"
}

test_C1_a_module_of_his() {
    command -v "${CC:-cc}" >/dev/null || skip 'no compiler'
    mkdir "$work/modules"
    printf '#include <stdio.h>\n__attribute__((constructor)) static void f(void)\n%s\n' \
        "{ FILE *f = fopen(\"$work/his/ran\", \"w\"); if (f) fclose(f); }" >"$work/his.c"
    "${CC:-cc}" -shared -fPIC -o "$work/modules/attest.so" "$work/his.c"
    cp "$work/modules/attest.so" "$work/modules/attest-inner.so"
    variant server his "s|^module .*|module = $work/modules/attest.so|"
    hostile "$work/his.cnf"
    check 2 --pid "$spawned"
    nothing_ran
    prints "ok    module: $work/modules/attest.so"
    printf 'no library' >"$work/modules/attest-inner.so"
    check 2 --pid "$spawned"
    prints "FAIL  module: $work/modules/attest-inner.so is no shared object that can be read"
}

test_C1_a_program_as_TPM() {
    variant server his "s|^quoter .*|quoter = tcti:cmd:touch $work/his/ran|"
    hostile "$work/his.cnf"
    check 2 --pid "$spawned"
    nothing_ran
    prints "note  TPM: tcti:cmd:touch $work/his/ran is not tried: it would run a library, a program or a resolver"
}

test_C1_a_library_as_TPM() {
    variant server his "s|^quoter .*|quoter = tcti:$work/his/tcti.so|"
    hostile "$work/his.cnf"
    check 2 --pid "$spawned"
    prints 'is not tried: it would run a library'
}

test_C3_a_name_to_look_up() {
    variant server his 's|^quoter .*|quoter = tcti:swtpm:host=tpm.example,port=2321|'
    hostile "$work/his.cnf"
    check 2 --pid "$spawned"
    prints 'tcti:swtpm:host=tpm.example,port=2321 is not tried: '
}

test_C1_a_file_as_TPM() {
    victim
    variant server his "s|^quoter .*|quoter = tcti:device:$work/victim|"
    hostile "$work/his.cnf"
    check 2 --pid "$spawned"
    prints "cannot open the TPM $work/victim: Permission denied"
    victim_is_whole
    chown nobody "$work/victim"
    check 2 --pid "$spawned"
    prints "$work/victim is no TPM: expected a character device"
    victim_is_whole
}

# A program that is known by the end of its path, with a configuration somewhere.
test_C11_settings_of_a_known_program() {
    local secret=$work/secret
    install -d -m 700 "$secret"
    echo 'smtp_tls_security_level = a-secret-of-root' >"$secret/main.cf"
    as_nobody
    chmod 755 "$scratch" "$work" "$lab"
    install -d "$work/his/postfix/sbin"
    install -m 755 "$(realpath "$(command -v sleep)")" "$work/his/postfix/sbin/smtp"
    spawn hostile "${as_user[@]}" env OPENSSL_CONF="$lab/client.cnf" MAIL_CONFIG="$secret" \
        "$work/his/postfix/sbin/smtp" "$seconds"
    await runs smtp
    check 2 --pid "$spawned"
    prints "note  program: $work/his/postfix/sbin/smtp delivers in clear"
    prints "(cannot open $secret/main.cf: Permission denied)"
    prints_not a-secret-of-root
    # What is no file.
    mkfifo -m 644 "$work/his/main.cf"
    spawn hostile "${as_user[@]}" env OPENSSL_CONF="$lab/client.cnf" MAIL_CONFIG="$work/his" \
        "$work/his/postfix/sbin/smtp" "$seconds"
    await runs smtp
    check 2 --pid "$spawned"
    prints "(cannot read $work/his/main.cf: not a regular file)"
}

# runs NAME: is it executed by now?
runs() {
    [[ $(readlink "/proc/$spawned/exe") == */"$1" ]]
}

test_C1_a_log_of_the_TSS() {
    victim
    hostile "$lab/server.cnf" "TSS2_LOGFILE=$work/victim" TSS2_LOG=all+trace \
        "SSLKEYLOGFILE=$work/victim"
    check 2 --pid "$spawned"
    victim_is_whole
    prints 'nobody (65534) gets evidence from swtpm:'
}

test_C1_the_authorization_stays_with_the_quoter() {
    victim
    variant server his "s|^ak .*|&\nak_auth = file:$work/victim|"
    hostile "$work/his.cnf"
    check 2 --pid "$spawned"
    prints 'is not tried: its AK needs ak_auth, which is read by nobody but its quoter'
    prints_not 'cannot open'
}

# What root alone can read is not read for him.
test_C1_a_file_of_root_as_configuration() {
    cp "$lab/server.cnf" "$work/secret.cnf"
    chmod 600 "$work/secret.cnf"
    hostile "$lab/server.cnf"
    spawn hostile "${as_user[@]}" env "OPENSSL_CONF=$work/secret.cnf" python3 -c "$hiding"
    says "$work/hostile.log" hides
    check 2 --pid "$spawned"
    prints "FAIL  configuration: cannot open $work/secret.cnf: Permission denied. If it was read before root was given up, name it with --conf, as root"
    prints_not 'gets evidence'
    check 2 --pid "$spawned" --conf "$work/secret.cnf"
    prints 'nobody (65534) gets evidence from swtpm:'
    # What is relative to us is not relative to him.
    cd "$work" || exit
    check 2 --pid "$spawned" --conf secret.cnf
    prints "ok    configuration: $work/secret.cnf"
    # Of a third user it is read as any file of his.
    cp "$lab/server.cnf" "$work/other.cnf"
    chmod 600 "$work/other.cnf"
    chown daemon "$work/other.cnf"
    check 2 --pid "$spawned" --conf "$work/other.cnf"
    prints "cannot open $work/other.cnf: Permission denied"
}

readonly forking='
import ctypes, os, signal
if os.fork() == 0:
    ctypes.CDLL(None).prctl(1, 9)
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
    print("worker", os.getpid(), flush=True)
signal.pause()'

# A root that is there is the proof that a worker was root.
test_C1_a_worker_of_root() {
    local worker
    cp "$lab/server.cnf" "$work/secret.cnf"
    chmod 600 "$work/secret.cnf"
    spawn master env "OPENSSL_CONF=$work/secret.cnf" python3 -c "$forking"
    says "$work/master.log" worker
    worker=$(sed -n 's/^worker //p' "$work/master.log")
    check 2 --pid "$worker"
    prints "ok    configuration: $work/secret.cnf"
    prints 'nobody (65534) gets evidence from swtpm:'
}

test_C1_a_configuration_of_a_third_user() {
    cp "$lab/server.cnf" "$work/third.cnf"
    chown daemon "$work/third.cnf"
    spawn roots env "OPENSSL_CONF=$work/third.cnf" python3 -c "$hiding"
    says "$work/roots.log" hides
    check 2 --pid "$spawned"
    prints "FAIL  configuration: $work/third.cnf belongs to user 1, who is neither root nor user 0 that reads it"
    prints_not 'settings'
}

test_C2_a_user_namespace() {
    as_nobody
    "${as_user[@]}" unshare --user --map-root-user true 2>/dev/null || skip 'no user namespaces'
    hostile "$lab/server.cnf"
    spawn inside "${as_user[@]}" env "OPENSSL_CONF=$lab/server.cnf" \
        unshare --user --map-root-user python3 -c "$hiding"
    says "$work/inside.log" hides
    check 2 --pid "$spawned"
    prints "note  sandbox: process $spawned has a user namespace of its own: its configuration and rights are not looked at from here"
    prints_not 'configuration: /'
    prints_not 'rights:'
}

# systemctl_says PROPERTY...: of web.service.
systemctl_says() {
    mkdir -p "$work/bin"
    printf '%s\n' '#!/bin/sh' 'cat <<END' Id=web.service LoadState=loaded "$@" END \
        >"$work/bin/systemctl"
    chmod +x "$work/bin/systemctl"
    PATH=$work/bin:$PATH
}

test_C5_a_service_that_is_stopped() {
    as_nobody
    chmod 755 "$work" "$lab"
    cp "$lab/server.cnf" "$work/secret.cnf"
    chmod 600 "$work/secret.cnf"
    systemctl_says ActiveState=inactive MainPID=0 User=nobody \
        "Environment=OPENSSL_CONF=$work/secret.cnf"
    check 2 --service web.service
    prints "FAIL  configuration: cannot open $work/secret.cnf: Permission denied"
    variant server his "s|^quoter .*|quoter = tcti:cmd:touch $work/his/ran|"
    chown nobody "$work/his.cnf"
    systemctl_says ActiveState=inactive MainPID=0 User=nobody \
        "Environment=OPENSSL_CONF=$work/his.cnf"
    check 0 --service web.service
    prints 'is not tried: it would run'
    nothing_ran
}

test_L3_files_that_wait_for_a_writer() {
    mkfifo "$work/fifo"
    variant server include "1i.include $work/fifo"
    check 2 --conf "$work/include.cnf"
    prints "$work/fifo, which is included, is not a regular file"
    variant server chain "s|^ak_chain .*|ak_chain = $work/fifo|"
    check 2 --conf "$work/chain.cnf"
    prints "ak_chain: $work/fifo is not a regular file"
    {
        printf '[attestd]\nsocket = %s\n' "$work/agent.sock"
        grep -E '^(quoter|ak|ak_chain|pcrs) ' "$work/chain.cnf"
    } >"$work/attestd.cnf"
    ends 2 "$ATTEST_BUILDDIR/attestd" --check --config "$work/attestd.cnf"
    prints "ak_chain: $work/fifo is not a regular file"
}

# Its name is not what makes it the module.
test_another_file_of_that_name() {
    cp "$module" "${module%/*}/attest-inner.so" "$work"
    variant server own "s|^module .*|module = $work/attest.so|"
    serve own "$work/own.cnf"
    check 0 --pid "$spawned"
    check 2 --pid "$spawned" --conf "$lab/server.cnf"
    prints "FAIL  loaded: process $spawned runs $work/attest.so, which is not the $module that its configuration names"
}

run_tests "$@"
