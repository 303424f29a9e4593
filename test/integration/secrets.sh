#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# The module listens to the key log of a connection. The program's own key log
# goes on working, and no secret gets into a log, a report or an error.
# shellcheck source=lib.bash
. "${0%/*}/lib.bash"
need curl openssl swtpm

setup() {
    lab_up || return
    variant server talkative 's/^log_level .*/log_level = debug/' || return
    serve attested "$work/talkative.cnf" -keylogfile "$work/server.keys"
    server_keys=$work/server.keys
    attested_port=$port
    server_log=$work/attested.log
    serve plain /dev/null -cert "$lab/plain.pem" -key "$lab/plain.key"
    plain_port=$port
}

readonly labels='CLIENT_HANDSHAKE_TRAFFIC_SECRET CLIENT_TRAFFIC_SECRET_0 EXPORTER_SECRET SERVER_HANDSHAKE_TRAFFIC_SECRET SERVER_TRAFFIC_SECRET_0 '

# talkative NAME: $work/NAME.cnf, a client that logs all it can into $work/log.
talkative() {
    variant client "$1" "s|^log .*|log = $work/log|" 's/^log_level .*/log_level = debug/'
}

# Every connection in a key log has each label once.
has_all_secrets() {
    same "labels in ${1##*/}" "$labels" \
        "$(grep -v '^#' "$1" | cut -d' ' -f1 | sort -u | tr '\n' ' ')"
}

# tells_none_of KEYLOG FILE...: not in hexadecimal, nor the raw octets.
tells_none_of() {
    local keys=$1 secret file count=0
    shift
    while read -r _ _ secret; do
        count=$((count + 1))
        for file; do
            [[ -s $file ]] || fail "${file##*/} is empty: nothing was looked for"
            ! LC_ALL=C grep -aqiF -e "$secret" -e "${secret:0:32}" "$file" ||
                fail "${file##*/} tells a secret"
            ! LC_ALL=C od -An -v -tx1 "$file" | tr -d ' \n' |
                grep -qF "${secret:0:32}" || fail "${file##*/} holds a secret"
        done
    done < <(grep -v '^#' "$keys")
    ((count >= 5)) || fail 'no secrets to look for'
}

test_S14_B9_curl() {
    talkative client
    SSLKEYLOGFILE=$work/keys ATTEST_REPORT=$work/report accepts 'trusted' \
        fetch "$work/client.cnf" "https://localhost:$attested_port/page" -v
    has_all_secrets "$work/keys"
    cp "$work/output" "$work/output.trusted"
    tells_none_of "$work/keys" "$work/log" "$work/report" "$work/output.trusted" "$server_log"
    says "$work/log" 'is trusted'
    says "$work/report" 'is trusted'
    # Without the module the program logs the same.
    SSLKEYLOGFILE=$work/keys.plain unattested 'trusted' \
        fetch /dev/null "https://localhost:$attested_port/page"
    has_all_secrets "$work/keys.plain"
}

# Of a refused connection there are those of the handshake.
test_S14_B9_curl_refuses() {
    talkative client
    control() {
        SSLKEYLOGFILE=$work/keys.control fetch "$lab/client.cnf" \
            "https://localhost:$attested_port/page"
    }
    policy_variant other-pcr 's/^pcr.7 .*/pcr.7 = '"$(printf 'ab%.0s' {1..32})/"
    sed -i "s|^log .*|log = $work/log|; s/^log_level .*/log_level = debug/" "$work/other-pcr.cnf"
    SSLKEYLOGFILE=$work/keys ATTEST_REPORT=$work/report refuses 'other PCR' \
        'PCR 7 does not match policy' \
        fetch "$work/other-pcr.cnf" "https://localhost:$attested_port/page" -v
    SSLKEYLOGFILE=$work/keys ATTEST_REPORT=$work/report refuses 'plain server' \
        'sent no attestation evidence' \
        fetch "$work/client.cnf" "https://localhost:$plain_port/page" -v
    has "$work/keys" SERVER_HANDSHAKE_TRAFFIC_SECRET || fail 'curl has no key log'
    cat "$work/keys.control" >>"$work/keys"
    tells_none_of "$work/keys" "$work/log" "$work/report" "$server_log"
}

test_S14_B9_s_client_and_s_server() {
    talkative client
    ATTEST_REPORT=$work/report accepts 's_client' \
        ask "$work/client.cnf" "$attested_port" -keylogfile "$work/keys" -quiet
    has_all_secrets "$work/keys"
    has_all_secrets "$server_keys"
    # Both tell the same secrets.
    grep -v '^#' "$work/keys" | while read -r line; do
        has "$server_keys" "$line" || fail 'the key logs of client and server differ'
    done
    tells_none_of "$server_keys" "$work/log" "$work/report" "$server_log"
}

run_tests "$@"
