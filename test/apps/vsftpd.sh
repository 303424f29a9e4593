#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# FTPS with vsftpd, which by default wants a data connection to resume the session of
# the control connection (require_ssl_reuse). A client that verifies resumes no session
# that has no verdict, so it gets no data: so it is as long as policies have no
# `resumption`, and attest(7) says it. vsftpd denies itself threads and the TPM: it asks
# the agent.
# shellcheck source=lib-apps.bash
. "${0%/*}/lib-apps.bash"
((EUID == 0)) || skip_all 'needs root, as vsftpd does'
[[ ${ATTEST_SANITIZER:-no} == no ]] || skip_all 'vsftpd limits its address space, and a sanitizer needs terabytes'
need vsftpd curl openssl swtpm

setup() {
    lab_up || return
    chmod 755 "$scratch" "$work" "$lab"
    serve attested "$lab/server.cnf" || return
    attested_port=$port
    {
        printf '[attestd]\nsocket = %s\nallow = root, nobody, ftp\nlog = stderr\n' "$lab/agent"
        grep -E '^(quoter|timeout|ak|ak_chain|pcrs|boot_log|measured_log) ' "$lab/server.cnf"
    } >"$work/attestd.cnf"
    sed -e "s|^quoter .*|quoter = unix:$lab/agent|" \
        -e '/^\(ak\|ak_chain\|pcrs\|boot_log\|measured_log\) /d' "$lab/server.cnf" >"$lab/service.cnf"
    spawn agent "$ATTEST_BUILDDIR/attestd" --config "$work/attestd.cnf"
    says "$work/agent.log" 'listening on'
}

# vsftpd_up NAME CONF REUSE: sets port and spawned.
vsftpd_up() {
    local name=$1 reuse=$3
    mkdir -p "$work/empty"
    up "$name" "$2" write_vsftpd_conf vsftpd "$work/$name.conf" || fail 'vsftpd does not start'
}

write_vsftpd_conf() {
    cat >"$work/$name.conf" <<END
listen=YES
listen_address=127.0.0.1
listen_port=$port
background=NO
anonymous_enable=YES
no_anon_password=YES
anon_root=$scratch/www
secure_chroot_dir=$work/empty
nopriv_user=nobody
ssl_enable=YES
allow_anon_ssl=YES
force_anon_data_ssl=YES
rsa_cert_file=$lab/server.pem
rsa_private_key_file=$lab/server.key
pasv_address=127.0.0.1
require_ssl_reuse=$reuse
END
}

# by_ftps CONF: a control connection, and one for the page.
by_ftps() {
    with "$1" curl --silent --show-error --max-time "$seconds" --cacert "$lab/ca.pem" \
        --ssl-reqd "ftp://localhost:$port/page"
}

verdicts() {
    grep -c '^attest: localhost is trusted' "$work/report"
}

test_S3_data_connections_that_must_resume_are_refused_by_vsftpd() {
    vsftpd_up strict "$lab/service.cnf" YES
    unattested 'FTPS' by_ftps /dev/null
    export ATTEST_REPORT=$work/report
    run by_ftps "$lab/client.cnf" && fail 'vsftpd takes a data connection that has not resumed'
    same 'status of curl' 18 "$?"
    [[ $output == *'transfer closed with'* && $output != *"$page"* ]] || fail 'another end'
    # Both handshakes are fine.
    same 'verdicts' 2 "$(verdicts)"
}

test_S3_each_data_connection_is_appraised() {
    vsftpd_up free "$lab/service.cnf" NO
    ATTEST_REPORT=$work/report accepts 'FTPS' by_ftps "$lab/client.cnf"
    same 'verdicts' 2 "$(verdicts)"
    vsftpd_up plain /dev/null NO
    unattested 'plain server' by_ftps /dev/null
    run by_ftps "$lab/client.cnf" && fail 'accepted'
    [[ $output == *'attest::localhost sent no attestation evidence'* ]] || fail 'no reason'
}

test_S3_check_says_it() {
    run attest check --conf "$lab/service.cnf" --warn 0 --exec "$(command -v vsftpd)"
    [[ $output == *'vsftpd wants data connections to resume a session, which clients that verify never do. Write require_ssl_reuse=NO into vsftpd.conf'* ]] ||
        fail 'attest check does not say it'
}

run_tests "$@"
