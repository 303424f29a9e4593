#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Clients that people use, each against a machine of which a PCR has moved: what the
# person sees; and each under a policy without addresses, showing the server's name
# and not. Those of nginx, HAProxy, wget, psql and Python's ssl are in files of their
# own.
# shellcheck source=lib-apps.bash
. "${0%/*}/lib-apps.bash"
need curl openssl swtpm tpm2_pcrextend /usr/bin/python3

readonly nameless='nameless = refuse'
readonly no_evidence='sent no attestation evidence, which policy section lab requires'

# Of the good server and the plain one: attested-mysql ...
declare -A ports=()

# before.cnf is of the time before the PCR moved; the lab's own files follow it.
setup() {
    local former moved
    lab_up || return
    former=$(sed -n 's/^pcr.7 *= *//p' "$lab/policy.cnf")
    cp "$lab/policy.cnf" "$lab/before.policy.cnf"
    sed "s|^policy = .*|policy = $lab/before.policy.cnf|" "$lab/client.cnf" >"$lab/before.cnf"
    "${near_tpm[@]}" env TPM2TOOLS_TCTI="$(<"$lab/tcti")" \
        tpm2_pcrextend "7:sha256=$(printf 'f%.0s' {1..64})" || return
    moved=$(pcr7) || return
    sed -i "s/^pcr.7 .*/pcr.7 = $moved/" "$lab/policy.cnf" "$lab/policy-names.cnf"
    reason="PCR 7 does not match policy: expected ${former:0:8}..., got ${moved:0:8}..."
    serve attested "$lab/server.cnf" || return
    attested_port=$port
    serve plain /dev/null -cert "$lab/plain.pem" -key "$lab/plain.key" || return
    plain_port=$port
    ports=([attested-web]=$attested_port [plain-web]=$plain_port)
    services attested "$lab/server.cnf" server && services plain /dev/null plain
}

pcr7() {
    "${near_tpm[@]}" env TPM2TOOLS_TCTI="$(<"$lab/tcti")" tpm2_pcrread sha256:7 |
        sed -n 's/^ *7 *: *0x//p' | tr A-F a-f
}

# services NAME CONF CERTIFICATE: sets their ports.
services() {
    spawn "services-$1" with_exec "$2" /usr/bin/python3 "$ATTEST_SRCDIR/test/apps/services.py" \
        "$lab/$3" "$scratch/www/page" tls mysql redis smtp
    says "$work/services-$1.log" 'ACCEPT smtp' || return
    local protocol
    for protocol in mysql redis smtp; do
        ports[$1-$protocol]=$(sed -n "s/^ACCEPT $protocol .*://p" "$work/services-$1.log")
    done
}

#
# Clients: NAME CONF PORT named|unnamed
#

host() {
    if [[ $1 == named ]]; then
        echo localhost
    else
        echo 127.0.0.1
    fi
}

by_curl() {
    fetch "$1" "https://$(host "$3"):$2/page"
}

# As people type it: a host without a dot is no name to it.
by_s_client() {
    local -a option=(-noservername)
    [[ $3 != named ]] || option=(-servername localhost)
    ask "$1" "$2" -connect "localhost:$2" "${option[@]}"
}

by_library() {
    with "$2" timeout "$seconds" /usr/bin/python3 "$ATTEST_SRCDIR/test/apps/python_libraries.py" \
        "$1" "$lab/ca.pem" "$(host "$4")" "$3"
}
by_requests() { by_library requests "$@"; }
by_urllib3() { by_library urllib3 "$@"; }
by_httpx() { by_library httpx "$@"; }
by_aiohttp() { by_library aiohttp "$@"; }
by_redis_py() { by_library redis "$@"; }
by_pymysql() { by_library pymysql "$@"; }

# The page in a package.
make_wheel() {
    /usr/bin/python3 - "$scratch/www/page-1-py3-none-any.whl" "$page" <<'END'
import sys, zipfile
with zipfile.ZipFile(sys.argv[1], "w") as wheel:
    wheel.writestr("page.txt", sys.argv[2])
    wheel.writestr("page-1.dist-info/METADATA", "Metadata-Version: 2.1\nName: page\nVersion: 1\n")
    wheel.writestr("page-1.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
    wheel.writestr("page-1.dist-info/RECORD", "")
END
}

by_pip() {
    local wheel=page-1-py3-none-any.whl
    rm -rf "$work/pip"
    with "$1" timeout "$seconds" /usr/bin/python3 -m pip --isolated --no-cache-dir --no-input \
        --disable-pip-version-check download --no-deps --no-index --retries 0 \
        --cert "$lab/ca.pem" --dest "$work/pip" "https://$(host "$3"):$2/$wheel" || return
    /usr/bin/python3 -m zipfile -e "$work/pip/$wheel" "$work/pip"
    cat "$work/pip/page.txt"
}

by_ruby() {
    # shellcheck disable=SC2016 # Ruby's variables
    with "$1" timeout "$seconds" ruby -rnet/http -e 'host, port, authority = ARGV
        http = Net::HTTP.new(host, port.to_i)
        http.use_ssl = true
        http.ca_file = authority
        puts http.get("/page").body' "$(host "$3")" "$2" "$lab/ca.pem"
}

by_php_curl() {
    # shellcheck disable=SC2016 # PHP's variables
    with "$1" timeout "$seconds" php -r '$curl = curl_init("https://$argv[1]:$argv[2]/page");
        curl_setopt($curl, CURLOPT_CAINFO, $argv[3]);
        if (!curl_exec($curl)) { echo curl_error($curl), "\n"; exit(1); }' \
        "$(host "$3")" "$2" "$lab/ca.pem"
}

by_php_streams() {
    # shellcheck disable=SC2016 # PHP's variables
    with "$1" timeout "$seconds" php -r '
        $context = stream_context_create(["ssl" => ["cafile" => $argv[3]]]);
        $page = file_get_contents("https://$argv[1]:$argv[2]/page", false, $context);
        if ($page === false) exit(1);
        echo $page;' "$(host "$3")" "$2" "$lab/ca.pem"
}

# It reads a section of its own.
by_node() {
    local name=localhost
    [[ $3 == named ]] || name=
    sed 's/^openssl_conf *= *\(.*\)/&\nnodejs_conf = \1/' "$1" >"$work/node.cnf"
    NODE_EXTRA_CA_CERTS=$lab/ca.pem with "$work/node.cnf" timeout "$seconds" node -e '
        require("https").get({host: "127.0.0.1", port: process.argv[1], path: "/page",
                servername: process.argv[2]}, answer => {
            answer.on("data", data => process.stdout.write(data))
        }).on("error", error => { console.error(error.message); process.exit(1) })' "$2" "$name"
}

by_socat() {
    local options=cafile=$lab/ca.pem
    [[ $3 == named ]] || options+=,no-sni=1
    printf 'GET /page HTTP/1.0\r\n\r\n' |
        with "$1" timeout "$seconds" socat -t "$seconds" - "OPENSSL:localhost:$2,$options"
}

by_redis_cli() {
    local -a option=()
    [[ $3 != named ]] || option=(--sni localhost)
    with "$1" timeout "$seconds" redis-cli --tls --cacert "$lab/ca.pem" -h localhost -p "$2" \
        "${option[@]}" get page
}

# There is no option for a name.
by_mariadb() {
    with "$1" timeout "$seconds" mariadb --no-defaults -h localhost --protocol=tcp -P "$2" -u user \
        --ssl-ca="$lab/ca.pem" --ssl-verify-server-cert -e 'select page'
}

# What EHLO answers by TLS has the page.
by_swaks() {
    local -a option=()
    [[ $3 != named ]] || option=(--tls-sni localhost)
    with "$1" timeout "$seconds" swaks --to a@localhost --server localhost --port "$2" --tls \
        --tls-verify --tls-ca-path "$lab/ca.pem" "${option[@]}" --quit-after EHLO
}

#
# What each has to stand
#

installed() {
    command -v "$1" >/dev/null || skip "$1 is missing"
}

# need_library MODULE PACKAGE
need_library() {
    /usr/bin/python3 -c "import $1" 2>/dev/null || skip "$2 is missing"
}

# trusted WHAT COMMAND...: it fetches the page, and there is a verdict.
trusted() {
    rm -f "$work/report"
    ATTEST_REPORT=$work/report accepts "$@"
    has "$work/report" 'is trusted (policy section lab' || fail "$1: no verdict"
}

# shows_the_reason CLIENT PORT: of the PCR that has moved.
shows_the_reason() {
    trusted "$1" "by_$1" "$lab/client.cnf" "$2" named
    refuses "$1" "$reason" "by_$1" "$lab/before.cnf" "$2" named
    run "by_$1" "$lab/before.cnf" "$2" named || true
    note "$1: $(grep -aF -m 1 "$reason" <<<"$output" | sed 's/^ *//' | cut -c1-160)"
}

# goes_by_name CLIENT PORT PLAIN-PORT: under the policy without addresses.
goes_by_name() {
    trusted "$1 by name" "by_$1" "$lab/client-names.cnf" "$2" named
    unattested "$1 by name" "by_$1" /dev/null "$3" named
    refuses "$1 by name" "localhost $no_evidence" "by_$1" "$lab/client-names.cnf" "$3" named
}

# is_refused_nameless CLIENT PORT PLAIN-PORT: good or not.
is_refused_nameless() {
    if ! run "by_$1" /dev/null "$3" unnamed; then
        prints 'requires server_hostname'
        note "$1 connects to no server without a name"
        return
    fi
    prints "$page"
    refuses "$1 without a name" "$nameless" "by_$1" "$lab/client-names.cnf" "$3" unnamed
    refuses "$1 without a name" "$nameless" "by_$1" "$lab/client-names.cnf" "$2" unnamed
}

# client NAME [PROTOCOL]
client() {
    local good=${ports[attested-${2:-web}]} bad=${ports[plain-${2:-web}]}
    shows_the_reason "$1" "$good"
    goes_by_name "$1" "$good" "$bad"
    is_refused_nameless "$1" "$good" "$bad"
}

test_S30_P12_curl() {
    client curl
}

test_S30_P12_s_client() {
    client s_client
}

test_S30_P12_requests() {
    need_library requests python3-requests
    client requests
}

test_S30_P12_urllib3() {
    need_library urllib3 python3-urllib3
    client urllib3
}

test_S30_P12_httpx() {
    need_library httpx python3-httpx
    client httpx
}

test_S30_P12_aiohttp() {
    need_library aiohttp python3-aiohttp
    client aiohttp
}

test_S30_P12_pip() {
    need_library pip python3-pip
    make_wheel
    client pip
}

test_S30_P12_ruby() {
    installed ruby
    client ruby
}

test_S30_P12_php_curl() {
    installed php
    php -r 'exit(extension_loaded("curl") ? 0 : 1);' || skip 'php-curl is missing'
    client php_curl
}

test_S30_P12_php_streams() {
    installed php
    client php_streams
}

test_S30_P12_node() {
    installed node
    client node
}

test_S30_P12_socat() {
    installed socat
    client socat
}

test_S30_P12_redis_cli() {
    installed redis-cli
    client redis_cli redis
}

test_S30_P12_redis_py() {
    need_library redis python3-redis
    client redis_py redis
}

test_S30_P12_pymysql() {
    need_library pymysql python3-pymysql
    client pymysql mysql
}

test_S30_P12_swaks() {
    installed swaks
    client swaks smtp
}

# Its servers are in a section by their address, or nameless decides.
test_S30_P12_mariadb_shows_no_name() {
    installed mariadb
    local good=${ports[attested-mysql]} bad=${ports[plain-mysql]}
    shows_the_reason mariadb "$good"
    unattested 'plain server' by_mariadb /dev/null "$bad"
    refuses 'plain server' "$no_evidence" by_mariadb "$lab/client.cnf" "$bad"
    if mariadb_demands_tls; then
        refuses 'mariadb by address' "$no_evidence" by_mariadb "$lab/client-names.cnf" "$bad" unnamed
    else
        is_refused_nameless mariadb "$good" "$bad"
    fi
}

# A section that lists the address is not found by these: nameless alone decides.
test_P8_an_address_that_does_not_show() {
    local client bad=${ports[plain-web]}
    installed php
    php -r 'exit(extension_loaded("curl") ? 0 : 1);' || skip 'php-curl is missing'
    installed node
    policy_variant listed 's/^nameless .*/nameless = off/'
    has "$work/listed.policy.cnf" '127.0.0.1' || fail 'the policy lists no address'
    for client in curl php_curl node; do
        accepts "$client by address" "by_$client" "$work/listed.cnf" "$bad" unnamed
    done
    refuses 's_client by address' "$no_evidence" by_s_client "$work/listed.cnf" "$bad" unnamed
}

#
# Programs that keep 120 octets for a line of OpenSSL's errors
#

# siege CONF PORT
by_siege() {
    mkdir -p "$work/home"
    HOME=$work/home with "$1" timeout "$seconds" siege --concurrent=1 --reps=1 \
        "https://localhost:$2/page"
}

failed_transactions() {
    sed -n 's/.*"\?failed[_ ]transactions"\?:[[:space:]]*\([0-9]*\).*/\1/Ip' <<<"$output"
}

test_S29_siege() {
    installed siege
    run by_siege "$lab/client.cnf" "$attested_port" || fail 'siege ends badly'
    same 'failed transactions' 0 "$(failed_transactions)"
    run by_siege "$lab/before.cnf" "$attested_port" || fail 'siege ends badly'
    same 'failed transactions' 1 "$(failed_transactions)"
    [[ $output == *"$reason"* ]] || fail 'siege does not say why'
    note "siege: $(grep -aF -m 1 "$reason" <<<"$output" | cut -c1-160)"
    run by_siege "$lab/client-names.cnf" "$plain_port" || fail 'siege ends badly'
    same 'failed transactions' 1 "$(failed_transactions)"
    [[ $output == *"localhost $no_evidence"* ]] || fail 'siege does not say why'
}

# unbound_up CONF PORT: a resolver that asks a server of DNS over TLS. Sets port and
# spawned.
unbound_up() {
    local tls_port=$2
    up unbound "$1" write_unbound_conf unbound -d -c "$work/unbound.conf" ||
        fail 'Unbound does not start'
}

write_unbound_conf() {
    cat >"$work/unbound.conf" <<END
server:
    interface: 127.0.0.1
    port: $port
    directory: "$work"
    chroot: ""
    username: ""
    pidfile: ""
    use-syslog: no
    logfile: ""
    do-not-query-localhost: no
    module-config: "iterator"
    tls-cert-bundle: "$lab/ca.pem"
forward-zone:
    name: "."
    forward-tls-upstream: yes
    forward-addr: 127.0.0.1@$tls_port#localhost
END
}

# For a name that it has to ask for.
ask_unbound() {
    /usr/bin/python3 - "$port" <<'END'
import socket, sys
query = b"\0\1\1\0\0\1\0\0\0\0\0\0\7example\3com\0\0\1\0\1"
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
    asked.settimeout(30)
    asked.sendto(query, ("127.0.0.1", int(sys.argv[1])))
    print("code", asked.recv(512)[3] & 15)
END
}

test_S29_unbound() {
    installed unbound
    unbound_up "$lab/before.cnf" "$attested_port"
    run ask_unbound || fail 'Unbound does not answer'
    same 'SERVFAIL' 'code 2' "$output"
    says "$work/unbound.log" "$reason"
    note "unbound: $(grep -aF -m 1 "$reason" "$work/unbound.log" | cut -c1-160)"
}

# by_line120 CONF PORT NAME: ends with 3 where a line is longer.
by_line120() {
    with "$1" timeout "$seconds" "$ATTEST_BUILDDIR/line120" "$2" "$3"
}

# Of names and paths at their longest, too: they are cut in a line, not the line.
test_S29_a_line_of_120_octets() {
    local long
    refuses 'PCR' "$reason" by_line120 "$lab/before.cnf" "$attested_port" localhost
    refuses 'no evidence' "$no_evidence" by_line120 "$lab/client-names.cnf" "$plain_port" localhost
    long=$(printf 'a%.0s' {1..63})
    long=$long.$long.$long.${long:0:47}.attested.test
    policy_variant long "s/^names .*/names = $long/"
    refuses 'a long name' 'sent no attestation evidence' by_line120 "$work/long.cnf" \
        "$plain_port" "$long"
    variant client nowhere "s|^policy = .*|policy = $work/$long.cnf|"
    refuses 'a long path' 'attest::' by_line120 "$work/nowhere.cnf" "$plain_port" localhost
}

run_tests "$@"
