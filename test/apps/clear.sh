#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Programs that go on without TLS where it fails or is not offered (C11), which no
# module can stop, and Postfix, which loses OPENSSL_CONF on the way (C12): what they
# do, what stops them, and that attest check says so. attest(7) has them all; psql and
# Squid are in files of their own.
# shellcheck source=lib-apps.bash
. "${0%/*}/lib-apps.bash"
need curl openssl swtpm /usr/bin/python3

readonly no_evidence='sent no attestation evidence, which policy section lab requires'
# postconf -d, and one more.
import='MAIL_CONFIG MAIL_DEBUG MAIL_LOGTAG TZ XAUTHORITY DISPLAY LANG=C POSTLOG_SERVICE POSTLOG_HOSTNAME OPENSSL_CONF'
[[ ${ATTEST_SANITIZER:-no} == no ]] || import+=" $asan_late"
readonly import

# Of the servers: attested-smtp, plain-pop3, clear-mysql ...
declare -A ports=()

# An attested server, one without evidence, and one that offers no TLS, as it is for
# whoever has somebody in between.
setup() {
    lab_up || return
    serve attested "$lab/server.cnf" || return
    attested_port=$port
    services attested "$lab/server.cnf" server tls && services plain /dev/null plain tls &&
        services clear /dev/null plain clear
}

# services NAME CONF CERTIFICATE tls|clear
services() {
    spawn "$1" with_exec "$2" /usr/bin/python3 "$ATTEST_SRCDIR/test/apps/services.py" \
        "$lab/$3" "$scratch/www/page" "$4" mysql pop3 smtp
    says "$work/$1.log" 'ACCEPT smtp' || return
    local protocol
    for protocol in mysql pop3 smtp; do
        ports[$1-$protocol]=$(sed -n "s/^ACCEPT $protocol .*://p" "$work/$1.log")
    done
}

# What a server has seen since. forget NAME
forget() {
    : >"$scratch/setup/$1.log"
}

# saw NAME TEXT, saw_not NAME TEXT
saw() {
    says "$scratch/setup/$1.log" "$2"
}

saw_not() {
    says_not "$scratch/setup/$1.log" "$2"
}

# check_exec STATUS TEXT CONF PROGRAM
check_exec() {
    check_says "$1" "$2" --conf "$3" --warn 0 --exec "$(command -v "$4")"
}

installed() {
    command -v "$1" >/dev/null || skip "$1 is missing"
}

#
# Postfix, its smtp(8) above all
#

# postfix_up CONF PORT [LINE...]: an instance of its own that relays to
# localhost:PORT. Sets port, of its smtpd(8), and master.
postfix_up() {
    ((EUID == 0)) || skip 'needs root, as Postfix does'
    installed postfix
    chmod 755 "$scratch" "$work" "$lab"
    setpriv --reuid=postfix --regid=postfix --clear-groups test -r "$ATTEST_BUILDDIR/.libs/attest.so" ||
        skip 'postfix cannot reach the build'
    local folder=$work/postfix
    [[ ! -e $folder ]] || postfix_down
    rm -rf "$folder" "$work/maillog.log"
    mkdir -p "$folder/etc" "$folder/spool" "$folder/data"
    chown postfix "$folder/data"
    port=$(free_port)
    write_postfix_conf "${@:2}"
    with "$1" postfix -c "$folder/etc" start
    await answers || fail 'Postfix does not start'
    master=$(tr -d ' ' <"$folder/spool/pid/master.pid")
    pids[postfix]=$master
}

postfix_down() {
    stop "${pids[postfix]}"
    unset "pids[postfix]"
}

answers() {
    (: <>"/dev/tcp/127.0.0.1/$port") 2>/dev/null
}

write_postfix_conf() {
    cat >"$folder/etc/main.cf" <<END
compatibility_level = 3.6
queue_directory = $folder/spool
data_directory = $folder/data
maillog_file = $work/maillog.log
maillog_file_prefixes = $work
myhostname = client.example
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
relayhost = [localhost]:$1
smtp_host_lookup = native
smtp_tls_CAfile = $lab/ca.pem
smtp_tls_loglevel = 1
alias_maps =
minimal_backoff_time = 1s
$(printf '%s\n' "${@:2}")
END
    cat >"$folder/etc/master.cf" <<END
127.0.0.1:$port inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
smtp unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
proxymap unix - - n - - proxymap
postlog unix-dgram n - n - 1 postlogd
END
}

# A mail for it to deliver.
mail() {
    /usr/bin/python3 - "$port" <<'END'
import smtplib, sys
with smtplib.SMTP("127.0.0.1", int(sys.argv[1]), timeout=30) as server:
    server.sendmail("a@localhost", ["b@server.example"], "Subject: a mail\r\n\r\nfor a trusted server\r\n")
END
}

mail_log_says() {
    says "$work/maillog.log" "$1"
}

# flush_until COUNT TEXT: try to deliver what is deferred until the log has said it so
# often.
flush_until() {
    await has_said "$@" || fail "maillog.log does not say $1 times: $2"
}

has_said() {
    (($(grep -csF -e "$2" "$work/maillog.log" || true) < $1)) || return 0
    postfix -c "$work/postfix/etc" flush
    sleep 0.5
    return 1
}

# check_postfix STATUS
check_postfix() {
    ends "$1" attest check --pid "$master" --warn 0
}

test_C11_postfix_may_delivers_in_clear() {
    forget plain
    postfix_up "$lab/client.cnf" "${ports[plain-smtp]}" 'smtp_tls_security_level = may' \
        "import_environment = $import"
    mail
    flush_until 1 'status=sent'
    saw plain 'in clear: MAIL FROM'
    mail_log_says "attest::127.0.0.1 $no_evidence"
    check_postfix 0
    prints "note  process: $master (/usr/lib/postfix/sbin/master) has no OpenSSL: of those that it has started, "
    prints "ok    loaded: "
    prints "warn  program: /usr/lib/postfix/sbin/smtp delivers in clear once a server was refused"
    prints "smtp_tls_security_level = may in $work/postfix/etc/main.cf. Set it to secure, verify or encrypt"
    prints "ok    program: /usr/lib/postfix/sbin/smtp: import_environment = MAIL_CONFIG "
}

test_C11_P12_postfix_verify_keeps_what_it_cannot_deliver() {
    local -a lines=('smtp_tls_security_level = encrypt' "import_environment = $import"
        'smtp_tls_servername = hostname')
    forget plain
    postfix_up "$lab/client-names.cnf" "${ports[plain-smtp]}" 'smtp_tls_security_level = verify' \
        "import_environment = $import"
    mail
    flush_until 4 'status=deferred'
    mail_log_says "attest::localhost $no_evidence"
    saw_not plain 'MAIL FROM'
    says_not "$work/maillog.log" 'status=sent'
    check_postfix 0
    prints "ok    program: /usr/lib/postfix/sbin/smtp: smtp_tls_security_level = verify in "
    prints_not 'warn'
    forget attested
    postfix_up "$lab/client-names.cnf" "${ports[attested-smtp]}" 'smtp_tls_security_level = verify' \
        "import_environment = $import"
    mail
    mail_log_says 'status=sent'
    saw attested 'by TLS: MAIL FROM'
    # A name that is not verified.
    forget attested
    postfix_up "$lab/client-names.cnf" "${ports[attested-smtp]}" "${lines[@]}"
    mail
    mail_log_says 'status=sent'
    saw attested 'by TLS: MAIL FROM'
    check_postfix 0
    prints "ok    program: /usr/lib/postfix/sbin/smtp: smtp_tls_servername = hostname in "
}

# Under `encrypt` it shows the address alone.
test_P12_postfix_without_a_name() {
    forget plain
    postfix_up "$lab/client-names.cnf" "${ports[plain-smtp]}" 'smtp_tls_security_level = encrypt' \
        "import_environment = $import"
    mail
    mail_log_says 'nameless = refuse'
    flush_until 2 'status=deferred'
    saw_not plain 'MAIL FROM'
    check_postfix 0
    prints "note  program: /usr/lib/postfix/sbin/smtp shows a server's name only under verify and secure, or with smtp_tls_servername: no smtp_tls_servername in $work/postfix/etc/main.cf"
}

# As it comes, nothing is attested.
test_C12_postfix_loses_the_environment() {
    forget plain
    postfix_up "$lab/client.cnf" "${ports[plain-smtp]}" 'smtp_tls_security_level = verify'
    mail
    mail_log_says 'status=sent'
    saw plain 'by TLS: MAIL FROM'
    check_postfix 2
    prints ' runs without attest.so: its connections are not attested'
    prints " hands its processes only the variables of import_environment: no import_environment in $work/postfix/etc/main.cf. Add OPENSSL_CONF to import_environment in main.cf"
    # Before there is anything to deliver.
    run env "MAIL_CONFIG=$work/postfix/etc" "$ATTEST_BUILDDIR/attest" check --warn 0 \
        --conf "$lab/client.cnf" --exec /usr/sbin/postfix && fail 'nothing fails'
    prints "FAIL  program: /usr/sbin/postfix hands its processes only the variables of import_environment: no import_environment in $work/postfix/etc/main.cf"
}

#
# Others
#

# by_fetchmail PORT [OPTION...]
by_fetchmail() {
    install -d -m 700 "$work/fetchmail"
    printf 'poll localhost protocol pop3 service %s user user password secret %s\n' "$1" "${*:2}" \
        >"$work/fetchmail/rc"
    chmod 600 "$work/fetchmail/rc"
    FETCHMAILHOME=$work/fetchmail with "$lab/client.cnf" timeout "$seconds" fetchmail --nosyslog \
        --nodetach -f "$work/fetchmail/rc"
}

test_C11_fetchmail_logs_in_in_clear() {
    installed fetchmail
    local server
    for server in plain clear; do
        forget "$server"
        run by_fetchmail "${ports[$server-pop3]}" no sslcertck || true
        saw "$server" 'in clear: PASS secret'
        forget "$server"
        run by_fetchmail "${ports[$server-pop3]}" sslcertck sslcertfile "$lab/ca.pem" &&
            fail "$server: accepted"
        saw "$server" 'in clear: STLS'
        saw_not "$server" PASS
    done
    run by_fetchmail "${ports[attested-pop3]}" sslcertck sslcertfile "$lab/ca.pem" || true
    saw attested 'by TLS: PASS secret'
    check_exec 0 'fetchmail logs in in clear where a server is refused or offers no TLS. Write sslcertck' \
        "$lab/client.cnf" fetchmail
}

# by_curl PORT OPTION...
by_curl() {
    with "$lab/client.cnf" curl --silent --show-error --max-time "$seconds" --cacert "$lab/ca.pem" \
        "${@:2}" "smtp://localhost:$1" --mail-from a@localhost --mail-rcpt b@localhost \
        --upload-file "$scratch/www/page"
}

test_C11_curl_ssl_is_not_ssl_reqd() {
    forget clear
    run by_curl "${ports[clear-smtp]}" --ssl || fail 'curl fails'
    saw clear 'in clear: MAIL FROM'
    forget clear
    run by_curl "${ports[clear-smtp]}" --ssl-reqd && fail 'curl goes on'
    saw_not clear 'MAIL FROM'
    # Where it is offered and refused both end.
    forget plain
    run by_curl "${ports[plain-smtp]}" --ssl && fail 'curl goes on'
    prints "attest::localhost $no_evidence"
    saw_not plain 'MAIL FROM'
    check_exec 0 'curl goes on in clear with --ssl' "$lab/client.cnf" curl
    prints 'Use --ssl-reqd'
}

# by_mariadb PORT OPTION...
by_mariadb() {
    with "$lab/client.cnf" timeout "$seconds" mariadb --no-defaults -h localhost --protocol=tcp \
        -P "$1" -u user --ssl-ca="$lab/ca.pem" "${@:2}" -e 'select page'
}

test_C11_mariadb_ssl_is_no_demand() {
    installed mariadb
    ! mariadb_demands_tls || skip 'this mariadb demands TLS'
    forget clear
    run by_mariadb "${ports[clear-mysql]}" --ssl || fail 'mariadb fails'
    saw clear 'in clear: select page'
    forget clear
    run by_mariadb "${ports[clear-mysql]}" --ssl-verify-server-cert && fail 'mariadb goes on'
    saw_not clear 'select page'
    check_exec 0 'mariadb goes on in clear where a server offers no TLS' "$lab/client.cnf" mariadb
    prints 'Use --ssl-verify-server-cert'
}

test_C11_pymysql_takes_what_it_gets() {
    /usr/bin/python3 -c 'import pymysql' 2>/dev/null || skip 'python3-pymysql is missing'
    forget clear
    run with "$lab/client.cnf" timeout "$seconds" /usr/bin/python3 \
        "$ATTEST_SRCDIR/test/apps/python_libraries.py" pymysql "$lab/ca.pem" localhost \
        "${ports[clear-mysql]}" || fail 'PyMySQL fails'
    saw clear 'in clear: select page'
    check_exec 0 'goes on in clear in PyMySQL where a server offers no TLS' "$lab/client.cnf" \
        /usr/bin/python3
}

# by_swaks PORT OPTION
by_swaks() {
    with "$lab/client.cnf" timeout "$seconds" swaks --to a@localhost --server localhost --port "$1" "$2"
}

test_C11_swaks_tls_optional() {
    installed swaks
    forget clear
    run by_swaks "${ports[clear-smtp]}" --tls-optional || fail 'swaks fails'
    saw clear 'in clear: DATA'
    forget clear
    run by_swaks "${ports[clear-smtp]}" --tls && fail 'swaks goes on'
    saw_not clear 'DATA'
    check_exec 0 'swaks goes on in clear with --tls-optional' "$lab/client.cnf" swaks
}

# by_ruby PORT CALL
by_ruby() {
    with "$lab/client.cnf" timeout "$seconds" ruby -rnet/smtp -e "smtp = Net::SMTP.new('localhost', $1)
        $2
        smtp.start { |session| session.send_message('for a trusted server', 'a@localhost', 'b@localhost') }"
}

test_C11_ruby_smtp() {
    installed ruby
    forget clear
    run by_ruby "${ports[clear-smtp]}" '' || fail 'ruby fails'
    saw clear 'in clear: DATA'
    forget clear
    run by_ruby "${ports[clear-smtp]}" smtp.enable_starttls && fail 'ruby goes on'
    saw_not clear 'DATA'
    check_exec 0 'goes on in clear in Net::SMTP' "$lab/client.cnf" ruby
}

run_tests "$@"
