# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
# What the tests of well-known programs share, on top of lib.bash. The programs
# are asked the same things:
#
#   accepted    with its proof the peer is let through
#   refused     with the reason, as that program shows it or in attest's log
#   resumption  no session gets round the appraisal
#   fork        each process makes a quoter of its own
#   reload      a new certificate or policy is taken up, and nobody notices

# shellcheck source=../integration/lib.bash
. "${BASH_SOURCE[0]%/*}/../integration/lib.bash"

# How many forks or reloads, where a test is about their number: its own, or more
# from who has the time.
repeats=${ATTEST_REPEATS:-}
[[ ${ATTEST_SANITIZER:-no} == no ]] || repeats=${repeats:-8}

# need_nobody: a server here must not be root, and could not get at what it needs.
need_nobody() {
    ((EUID != 0)) || setpriv --reuid=nobody --regid=nogroup --clear-groups -- \
        test -r "$ATTEST_BUILDDIR/.libs/attest.so" -a -x "${TMPDIR:-/tmp}" ||
        skip_all 'nobody cannot reach the build and TMPDIR'
}

#
# Servers that have to be told their port
#

# up NAME CONF WRITE COMMAND...: a server under that openssl.cnf. WRITE is called
# with port set, to write its configuration. Sets port and spawned.
up() {
    local name=$1 conf=$2 write=$3 tries
    shift 3
    for ((tries = 0; tries < 10; tries++)); do
        port=$(free_port)
        "$write"
        spawn "$name" with_exec "$conf" "$@"
        await answers_or_ends || return
        ! is_running "$spawned" || return 0
        has "$work/$name.log" 'Address already in use' || return
    done
    return 1
}

answers_or_ends() {
    (: <>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || ! is_running "$spawned"
}

children() {
    cat "/proc/$1/task/$1/children"
}

#
# Certificates of servers with several names
#

# Certificates for NAME.attested.test and localhost: one and two are in the
# measured log, unmeasured is not. attested.test's clients go by it.
issue_names() {
    local name
    for name in one two; do
        issue_measured "$name" || return
    done
    issue unmeasured 'DNS:unmeasured.attested.test' || return
    certificates=$work
}

# In $work.
issue_measured() {
    issue "$1" "DNS:$1.attested.test, DNS:one.attested.test, DNS:localhost, IP:127.0.0.1, IP:::1" &&
        attest measure --conf "$lab/server.cnf" --certificate "$work/$1.pem"
}

# at NAME CONF [OPTION...]: fetch the page of that name.
at() {
    fetch "$2" "https://$1:$attested_port/page" \
        --connect-to "::127.0.0.1:$attested_port" "${@:3}"
}

# The server switches to another SSL_CTX when it reads the name, and the verdict
# is that of the certificate which it then shows.
two_names_with_two_certificates() {
    local name
    for name in one two; do
        ATTEST_REPORT=stderr accepts "$name" at "$name.attested.test" "$lab/client.cnf" -v
        [[ $output == *"subject: CN=$name"* ]] || fail 'the certificate of another name'
        [[ $output == *"$name.attested.test is trusted (policy section lab"* ]] || fail 'no verdict'
    done
    unattested 'unmeasured' at unmeasured.attested.test /dev/null
    refuses 'unmeasured' 'the TLS certificate is not in the measured log: expected sha256:' \
        at unmeasured.attested.test "$lab/client.cnf"
    accepts 'without server name' ask "$lab/client.cnf" "$attested_port" -noservername
}

# The same server for clients with another policy.
other_policy_is_refused() {
    policy_variant other-pcr 's/^pcr.7 .*/pcr.7 = '"$(printf 'ab%.0s' {1..32})/"
    refuses 'other PCR' 'PCR 7 does not match policy: expected abab' \
        at one.attested.test "$work/other-pcr.cnf"
}

# [OPTION...]: a server's sessions go on for those who do not ask for proof.
session_is_no_way_round() {
    keep_session "$work/session" "$@"
    ATTEST_REPORT=stderr accepts 'session' ask "$lab/client.cnf" "$attested_port" \
        -sess_in "$work/session" "$@"
    same 'resumptions' 0 "$(handshakes Reused)"
    same 'full handshakes' 1 "$(handshakes New)"
    [[ $output == *'localhost is trusted'* ]] || fail 'no verdict'
}

# renewed_certificate_is_taken_up INSTALL RELOAD: INSTALL copies renewed.pem and
# renewed.key of $work to where the server has those of one. Clients ask all the
# time, and all of them are served.
renewed_certificate_is_taken_up() {
    issue_measured renewed
    keep_asking at one.attested.test "$lab/client.cnf" --http1.1
    "$1"
    "$2"
    await shows_renewed || fail 'the renewed certificate is not taken up'
    all_served
}

shows_renewed() {
    at one.attested.test "$lab/client.cnf" -v >"$work/shown" 2>&1 &&
        has "$work/shown" 'subject: CN=renewed'
}

#
# Clients that ask all the time
#

# keep_asking COMMAND...: one after the other in the background, until all_served.
keep_asking() {
    spawn asking ask_on "$@"
    asking=$spawned
    await has_asked 2 || fail 'no client is served'
}

ask_on() {
    local last=
    trap 'last=yes' TERM
    until [[ -n $last ]]; do
        if "$@" >"$work/asking.output" 2>&1 && has "$work/asking.output" "$page"; then
            echo served
        else
            echo 'not served:'
            cat "$work/asking.output"
        fi
    done
}

has_asked() {
    (($(asked) >= $1))
}

asked() {
    grep -c '^served' "$work/asking.log" || true
}

# Some more, after what has happened meanwhile.
all_served() {
    await has_asked $(($(asked) + 3)) || fail 'clients are not served any more'
    stop "$asking"
    says_not "$work/asking.log" 'not served'
    note "$(asked) clients were served meanwhile"
}

# load COUNT: so many handshakes, sixteen at a time.
load() {
    local -a urls=()
    local i
    for ((i = 0; i < $1; i++)); do
        urls+=("https://localhost:$attested_port/page?$i")
    done
    rm -f "$work/report"
    # Connections of HTTP/1.0 are for one request. Apache takes its name in ALPN
    # for an error.
    ATTEST_REPORT=$work/report run fetch "$lab/client.cnf" "${urls[0]}" --http1.0 --no-alpn \
        --parallel --parallel-immediate --parallel-max 16 "${urls[@]:1}" || fail 'not all served'
    same 'pages' "$1" "$(grep -o "$page" <<<"$output" | wc -l)"
    same 'verdicts' "$1" "$(grep -c '^attest: localhost is trusted' "$work/report")"
}

#
# nginx
#

# nginx_up NAME CONF FILE: FILE is the http block, with @PORT@ for a free port.
# Sets port and spawned.
nginx_up() {
    local name=$1 http=$3
    mkdir -p "$work/$name"
    up "$name" "$2" write_nginx_conf nginx -p "$work/$name" -c "$work/$name/nginx.conf" -e stderr
}

write_nginx_conf() {
    local folder=$work/$name
    {
        ((EUID != 0)) || echo 'user root;'
        cat <<END
daemon off;
worker_processes 2;
error_log stderr info;
pid $folder/pid;
events {}
http {
    access_log off;
    client_body_temp_path $folder/temp;
    proxy_temp_path $folder/temp;
    fastcgi_temp_path $folder/temp;
    uwsgi_temp_path $folder/temp;
    scgi_temp_path $folder/temp;
$(sed "s/@PORT@/$port/" "$http")
}
END
    } >"$folder/nginx.conf"
}

# Old workers may take a moment to go. has_reloaded PID OLD-WORKERS
has_reloaded() {
    local now
    now=$(children "$1")
    [[ $now != "$2" && $(wc -w <<<"$now") == 2 ]]
}

# Its client does from 11.4 on, and shows its name.
mariadb_demands_tls() {
    [[ $(mariadb --version) =~ ([0-9]+)\.([0-9]+)\.[0-9]+-MariaDB ]] &&
        ((BASH_REMATCH[1] * 100 + BASH_REMATCH[2] >= 1104))
}
