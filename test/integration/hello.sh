#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# What a server sees of a client that has the module: nothing, where no policy
# names that server; the request and no other change, where one does.
# shellcheck source=lib.bash
. "${0%/*}/lib.bash"
need curl openssl swtpm

setup() {
    lab_up || return
    serve attested "$lab/server.cnf"
    attested_port=$port
    issue other 'DNS:other.test, DNS:localhost' || return
    # -msg prints what comes in.
    serve listener /dev/null -msg -cert "$work/other.pem" -key "$work/other.key"
    listener_port=$port
    listener_log=$work/listener.log
}

# hello COMMAND...: what the listener gets from it, in hexadecimal.
hello() {
    : >"$listener_log"
    run "$@" >&2 || true
    # What it answers stands behind it.
    await has "$listener_log" '>>> ' || fail 'no ClientHello'
    LC_ALL=C tr -d '\000' <"$listener_log" |
        awk '/^[<>]/ { within = /ClientHello/ && !seen++ }
             within && /^ / { gsub(" ", ""); printf "%s", $0 }'
}

# Without what is new in each: random, session id, the shares of X25519 and, with
# OpenSSL 3.5, of X25519MLKEM768 before it.
masked() {
    local text=$1
    [[ $text =~ ^01[0-9a-f]{6}0303 ]] || fail 'this is no ClientHello'
    printf '%s-random-20-session-%s\n' "${text:0:12}" "${text:142}" |
        sed -e 's/\(003304ea04e811ec04c0\)[0-9a-f]\{2432\}\(001d0020\)/\1-share-\2/' \
            -e 's/\(0033.*001d0020\)[0-9a-f]\{64\}/\1-share-/'
}

# The clients. A configuration, a server name.
by_curl() {
    fetch "$1" "https://$2:$listener_port/page" -k --connect-to "::127.0.0.1:$listener_port"
}

by_curl_http2() {
    fetch "$1" "https://$2:$listener_port/page" -k --http2 \
        --connect-to "::127.0.0.1:$listener_port"
}

by_curl_to_address() {
    fetch "$1" "https://127.0.0.1:$listener_port/page" -k
}

by_s_client() {
    ask "$1" "$listener_port" -servername "$2"
}

by_s_client_tls12() {
    ask "$1" "$listener_port" -servername "$2" -tls1_2
}

by_python() {
    with "$1" python3 - "$2" "$listener_port" <<'END'
import socket, ssl, sys
context = ssl.create_default_context()
context.check_hostname = False
context.verify_mode = ssl.CERT_NONE
with socket.create_connection(("127.0.0.1", int(sys.argv[2])), 20) as connection:
    with context.wrap_socket(connection, server_hostname=sys.argv[1]) as tls:
        tls.sendall(b"GET /page HTTP/1.0\r\n\r\n")
        print(tls.makefile().read())
END
}

has_python() {
    python3 -c 'import ssl, urllib.request' 2>/dev/null
}

# same_hello CONF CLIENT NAME
same_hello() {
    local without with
    without=$(masked "$(hello "$2" /dev/null "$3")")
    with=$(masked "$(hello "$2" "$1" "$3")")
    ((${#without} > 200)) || fail "$2: no ClientHello was captured"
    same "ClientHello of $2" "$without" "$with"
}

test_servers_that_no_policy_names_see_no_difference() {
    local client
    # Some clients show the address as well.
    policy_variant names-only 's/ 127.0.0.1 ::1$//' 's/^nameless .*/nameless = off/'
    for client in by_curl by_curl_http2 by_s_client by_s_client_tls12 by_python; do
        has_python || [[ $client != by_python ]] || continue
        same_hello "$work/names-only.cnf" "$client" other.test
    done
    same_hello "$work/names-only.cnf" by_curl_to_address 127.0.0.1
    policy_variant off 's/^mode .*/mode = off/'
    same_hello "$work/off.cnf" by_s_client localhost
    # A machine that only proves.
    same_hello "$lab/server.cnf" by_s_client localhost
}

# The request: type 0xffa7, 10 octets: version 1, two formats (3, 1), no age.
readonly request=ffa7000a010400030001

# curl and Python pad what they say to 512 octets.
test_servers_under_observe_see_the_request() {
    local without with
    policy_variant observe 's/^mode .*/mode = observe/'
    without=$(masked "$(hello by_s_client /dev/null localhost)")
    with=$(masked "$(hello by_s_client "$work/observe.cnf" localhost)")
    [[ $with == *${request}00000000* ]] || fail 'no request'
    same 'digits more' 28 $((${#with} - ${#without}))
    # But for the request, and the two lengths that count it.
    same 'the rest' "$(without_lengths "$without")" \
        "$(without_lengths "${with/${request}00000000/}")"
}

# Of the message; and of the extensions, behind the list of one compression
# method.
without_lengths() {
    sed 's/^01....../01-length-/; s/0100\(....\)\(000000\|000b00\|ff0100\)/0100-length-\2/' <<<"$1"
}

test_servers_under_require_see_the_request_and_no_older_version() {
    local with
    with=$(hello by_s_client "$lab/client.cnf" localhost)
    [[ $with == *${request}00000000* ]] || fail 'no request'
    [[ $with == *002b0003020304* ]] || fail 'other versions than TLS 1.3 are offered'
}

run_tests "$@"
