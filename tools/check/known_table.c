/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/check/known_table.h"

/* attest(7) says the same to users. */
const struct known_row tool_known_table[] = {
    {"libpq.so psql pg_dump pg_dumpall pg_restore pg_basebackup pgbench",
     KNOWN_CLEAR,
     "goes on in clear where a server is refused or offers no TLS, under "
     "sslmode=prefer, its default, and allow",
     "Write sslmode=verify-full into each connection string, or set PGSSLMODE",
     {"PGSSLMODE", "require verify-ca verify-full", NULL, NULL}},
    {"postfix postfix/sbin/master postfix/sbin/smtp postfix/sbin/lmtp",
     KNOWN_CLEAR,
     "delivers in clear once a server was refused or where it offers no TLS, "
     "under smtp_tls_security_level = may and dane",
     "Set it to secure, verify or encrypt, or for single destinations in "
     "smtp_tls_policy_maps",
     {"smtp_tls_security_level", "encrypt fingerprint verify secure dane-only",
      "/etc/postfix/main.cf", "MAIL_CONFIG"}},
    {"postfix postfix/sbin/master postfix/sbin/smtp postfix/sbin/lmtp "
     "postfix/sbin/smtpd postfix/sbin/tlsproxy",
     KNOWN_LOSES,
     "hands its processes only the variables of import_environment",
     "Add OPENSSL_CONF to import_environment in main.cf, after what postconf "
     "-d "
     "says, and restart it",
     {"import_environment", "OPENSSL_CONF", "/etc/postfix/main.cf",
      "MAIL_CONFIG"}},
    {"postfix postfix/sbin/master postfix/sbin/smtp postfix/sbin/lmtp",
     KNOWN_NAMELESS,
     "shows a server's name only under verify and secure, or with "
     "smtp_tls_servername",
     "Set smtp_tls_servername = hostname",
     {"smtp_tls_servername", "*", "/etc/postfix/main.cf", "MAIL_CONFIG"}},
    {"dovecot dovecot/auth dovecot/imap-login dovecot/pop3-login "
     "dovecot/submission-login dovecot/managesieve-login",
     KNOWN_LOSES,
     "hands its processes only the variables of import_environment",
     "Write import_environment = $import_environment OPENSSL_CONF into "
     "dovecot.conf and restart it",
     {"import_environment", "OPENSSL_CONF", "/etc/dovecot/dovecot.conf", NULL}},
    {"dovecot dovecot/imap-login dovecot/pop3-login dovecot/submission-login "
     "dovecot/managesieve-login",
     KNOWN_CHROOTS,
     "makes its first TLS context after chroot(2), where attest can load "
     "nothing: it has no TLS for anybody then",
     "Write map = start into attest's section",
     {"map", "start", "", NULL}},
    {"squid squid-openssl",
     KNOWN_LOSES,
     "has kids that run with other effective ids than real ones, in which "
     "OpenSSL ignores OPENSSL_CONF",
     "Start it with -N, without kids, or configure attest in the system's "
     "openssl.cnf",
     {NULL, NULL, NULL, NULL}},
    {"fetchmail",
     KNOWN_CLEAR,
     "logs in in clear where a server is refused or offers no TLS",
     "Write sslcertck for each server, or ssl",
     {NULL, NULL, NULL, NULL}},
    {"curl libcurl.so",
     KNOWN_CLEAR,
     "goes on in clear with --ssl (CURLUSESSL_TRY) where a server of FTP, "
     "IMAP, "
     "LDAP, POP3 or SMTP offers no TLS",
     "Use --ssl-reqd (CURLUSESSL_ALL)",
     {NULL, NULL, NULL, NULL}},
    {"curl libcurl.so node",
     KNOWN_NAMELESS,
     "shows nothing of a server that it reaches by an address, not even that",
     "Connect by name, or let nameless name a section",
     {NULL, NULL, NULL, NULL}},
    {"mariadb mariadb-admin mariadb-check mariadb-dump mariadb-import "
     "mariadb-show mysql mysqladmin mysqlcheck mysqldump mysqlimport mysqlshow "
     "libmariadb.so",
     KNOWN_CLEAR,
     "goes on in clear where a server offers no TLS, with --ssl too (10.11; "
     "11.8 does not with --ssl)",
     "Use --ssl-verify-server-cert",
     {NULL, NULL, NULL, NULL}},
    {"mariadb mariadb-admin mariadb-check mariadb-dump mariadb-import "
     "mariadb-show mysql mysqladmin mysqlcheck mysqldump mysqlimport mysqlshow "
     "libmariadb.so",
     KNOWN_NAMELESS,
     "shows no name of a server (10.11; 11.8 does)",
     "List the server's address in names, or let nameless name a section",
     {NULL, NULL, NULL, NULL}},
    {"swaks",
     KNOWN_CLEAR,
     "goes on in clear with --tls-optional and --tls-optional-strict where a "
     "server offers no TLS",
     "Use --tls",
     {NULL, NULL, NULL, NULL}},
    {"swaks",
     KNOWN_NAMELESS,
     "shows no name of a server",
     "Use --tls-sni NAME",
     {NULL, NULL, NULL, NULL}},
    {"ruby",
     KNOWN_CLEAR,
     "goes on in clear in Net::SMTP where a server offers no TLS",
     "Call enable_starttls",
     {NULL, NULL, NULL, NULL}},
    {"python",
     KNOWN_CLEAR,
     "goes on in clear in PyMySQL where a server offers no TLS",
     "PyMySQL has no argument against that",
     {NULL, NULL, NULL, NULL}},
    {"python",
     KNOWN_NAMELESS,
     "shows no name where a socket is wrapped without server_hostname, or a "
     "host is an address",
     "Pass server_hostname=NAME to wrap_socket() or open_connection()",
     {NULL, NULL, NULL, NULL}},
    {"php",
     KNOWN_NAMELESS,
     "shows no name in mysqli and ftp_ssl_connect()",
     "List the server's address in names, or let nameless name a section",
     {NULL, NULL, NULL, NULL}},
    {"nginx",
     KNOWN_NAMELESS,
     "shows no name of its upstreams (proxy_pass https:)",
     "Write proxy_ssl_server_name on; and proxy_ssl_name NAME; where "
     "proxy_pass "
     "has an address",
     {NULL, NULL, NULL, NULL}},
    {"haproxy",
     KNOWN_NAMELESS,
     "shows no name of its servers, nor their address",
     "Write sni str(NAME) on each server line",
     {NULL, NULL, NULL, NULL}},
    {"redis-cli redis-benchmark",
     KNOWN_NAMELESS,
     "shows no name of a server",
     "Use --sni NAME",
     {NULL, NULL, NULL, NULL}},
    {"openssl",
     KNOWN_NAMELESS,
     "shows no name in s_client where -connect has an address or a host "
     "without "
     "a dot",
     "Use -servername NAME",
     {NULL, NULL, NULL, NULL}},
    {"socat",
     KNOWN_NAMELESS,
     "shows no name where OPENSSL: has an address, or with no-sni=1",
     "Use snihost=NAME",
     {NULL, NULL, NULL, NULL}},
    {"stunnel",
     KNOWN_NAMELESS,
     "shows no name where connect is an address, or sni is empty",
     "Write sni = NAME",
     {NULL, NULL, NULL, NULL}},
    {"unbound",
     KNOWN_NAMELESS,
     "shows no name where forward-addr has none",
     "Write forward-addr: ADDRESS@853#NAME",
     {NULL, NULL, NULL, NULL}},
    {"rsyslogd",
     KNOWN_NAMELESS,
     "shows no name of the server that omfwd sends to",
     "List the server's address in names, or let nameless name a section",
     {NULL, NULL, NULL, NULL}},
    {"openvpn",
     KNOWN_NAMELESS,
     "shows no name, nor an address",
     "Let nameless name a section",
     {NULL, NULL, NULL, NULL}},
    {"check_http check_tcp check_imap check_pop check_smtp check_ftp "
     "check_jabber check_simap check_spop check_ssmtp",
     KNOWN_NAMELESS,
     "shows no name of a server",
     "Use --sni, of check_tcp and its kind --sni=NAME",
     {NULL, NULL, NULL, NULL}},
    {"vsftpd",
     KNOWN_RESUMES,
     "wants data connections to resume a session, which clients that verify "
     "never do",
     "Write require_ssl_reuse=NO into vsftpd.conf",
     {NULL, NULL, NULL, NULL}},
};

const size_t tool_known_table_count =
    sizeof(tool_known_table) / sizeof(tool_known_table[0]);
_Static_assert(sizeof(tool_known_table) / sizeof(tool_known_table[0])
                   <= KNOWN_ROWS_MAX,
               "more rows than bits");
