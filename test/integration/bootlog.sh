#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# The boot log: evidence of format 2, as programs and `attest show` see it.
# shellcheck source=lib.bash
. "${0%/*}/lib.bash"
need curl openssl swtpm tpm2_pcrextend python3

# EV_EFI_ACTION, in the order of octets of the log.
readonly efi_action=07000080

setup() {
    lab_up --with-second || return
    serve_machine attested "$lab" "$lab/binary_bios_measurements"
    attested_port=$port
}

# serve_machine NAME FOLDER LOG: a server of a lab's machine. Sets port.
serve_machine() {
    sed "s|^measured_log .*|&\nboot_log = $3|; s|^log_level.*|log_level = info|" \
        "$2/server.cnf" >"$work/$1.cnf"
    serve "$1" "$work/$1.cnf" -cert "$2/server.pem" -key "$2/server.key"
}

# asking NAME VALUE [FOLDER]: $work/NAME.cnf, a client of that machine whose
# policy has boot_log = VALUE.
asking() {
    local folder=${3:-$lab}
    sed "s|^trust .*|trust = $lab/ak-roots.pem|; s|^mode .*|&\nboot_log = $2|" \
        "$folder/policy.cnf" >"$work/$1.policy.cnf"
    sed "s|^policy = .*|policy = $work/$1.policy.cnf|" "$folder/client.cnf" >"$work/$1.cnf"
}

le32() {
    printf '%02x%02x%02x%02x' $(($1 & 255)) $(($1 >> 8 & 255)) $(($1 >> 16 & 255)) $(($1 >> 24))
}

# octets HEX
octets() {
    printf '%b' "$(printf '%s' "$1" | sed 's/../\\x&/g')"
}

hex() {
    od -An -v -tx1 | tr -d ' \n'
}

# replaced FILE DIGEST: its octets with another digest in that one's place.
replaced() {
    octets "$(hex <"$1" | sed "s/$2/$(printf '5a%.0s' {1..32})/")"
}

# boots_on LOG PCR TEXT [COUNT]: the second machine extends events, and writes
# them down in its log, which is as its firmware left it before.
boots_on() {
    local log=$1 pcr=$2 text=$3 count=${4:-1} digest event
    local -a extends=()
    cp "$lab/second/binary_bios_measurements" "$log"
    digest=$(printf '%s' "$text" | sha256sum)
    digest=${digest%% *}
    event=$(le32 "$pcr")$efi_action$(le32 1)0b00$digest$(le32 ${#text})
    event+=$(printf '%s' "$text" | hex)
    while ((count-- > 0)); do
        octets "$event" >>"$log"
        extends+=("$pcr:sha256=$digest")
    done
    TPM2TOOLS_TCTI=$(<"$lab/second/tcti") tpm2_pcrextend "${extends[@]}"
}

saved() {
    attest show "$@" --cafile "$lab/ca.pem" --save "$work/evidence.json" >/dev/null
    python3 -c 'import base64, json, sys
sys.stdout.buffer.write(base64.b64decode(json.load(sys.stdin)["cmw"]))' \
        <"$work/evidence.json" >"$work/evidence.cmw"
}

test_accepted_with_the_log_of_a_good_machine() {
    asking good "$lab/binary_bios_measurements"
    ATTEST_REPORT=$work/report accepts 'good machine' \
        fetch "$work/good.cnf" "https://localhost:$attested_port/page"
    grep -q '^  ok    log ' "$work/report" || fail 'the log is not reported'
    asking ask ask
    accepts 'asked for' fetch "$work/ask.cnf" "https://localhost:$attested_port/page"
}

test_boot_log_for_those_who_ask() {
    saved "localhost:$attested_port"
    has "$work/evidence.cmw" 'application/vnd.attest.tpm-short-evidence+cbor' ||
        fail 'attest show got evidence of an old format'
    has "$work/evidence.cmw" 'lab: boot loader and kernel 1.0' || fail 'an event is missing'
}

# What s_client got is in its dump of the decrypted handshake, in hexadecimal.
dumped() {
    grep -a '^    [0-9a-f][0-9a-f] ' "$work/output" | tr -d ' \n' | tr -d '\r' >"$work/dump"
    grep -q "$(printf '%s' "$1" | hex)" "$work/dump"
}

test_no_boot_log_for_all_others() {
    accepts 'asks for none' ask "$lab/client.cnf" "$attested_port" -msg
    dumped 'attest.tpm-short-evidence+cbor' || fail 'no evidence in the dump'
    ! dumped 'lab: boot loader and kernel 1.0' || fail 'a boot log that nobody asked for'
    asking ask ask
    accepts 'asks for one' ask "$work/ask.cnf" "$attested_port" -msg
    dumped 'attest.tpm-short-evidence+cbor' || fail 'no evidence in the dump'
    dumped 'lab: boot loader and kernel 1.0' || fail 'no boot log in the dump'
}

# A server without one is as good, and its log is quiet about it.
test_missing_log_is_no_error() {
    asking good "$lab/binary_bios_measurements"
    serve_machine without "$lab" none
    accepts 'no boot log' fetch "$work/good.cnf" "https://localhost:$port/page"
    says_not "$work/without.log" 'boot log'
}

test_S16_log_of_60_KiB_is_left_out() {
    local text
    text=$(printf 'x%.0s' {1..280})
    boots_on "$work/large.bin" 12 "$text" 200
    (($(stat -c %s "$work/large.bin") > 60 * 1024)) || fail 'not large enough'
    serve_machine large "$lab/second" "$work/large.bin"
    asking second ask "$lab/second"
    accepts 'too large' fetch "$work/second.cnf" "https://localhost:$port/page"
    accepts 'once more' fetch "$work/second.cnf" "https://localhost:$port/page"
    same 'lines about it' 1 "$(grep -c 'goes out without the boot log: the evidence has' \
        "$work/large.log")"
    says "$work/large.log" 'octets, 49152 are allowed'
}

# The last with the second machine: its PCR 4 is of no use any more.
test_other_boot_is_refused_with_its_event() {
    boots_on "$work/evil.bin" 4 'evil boot loader 6.6'
    serve_machine evil "$lab/second" "$work/evil.bin"
    asking second "$lab/binary_bios_measurements" "$lab/second"
    # The machine's own log has 18 events, which are numbered from 0.
    ATTEST_REPORT=$work/evil refuses 'another boot loader' 'attest::PCR 4 does not match policy' \
        fetch "$work/second.cnf" "https://localhost:$port/page"
    says "$work/evil" '; first different event: 18 EV_EFI_ACTION evil boot loader 6.6'
}

# An attester does not send what its quote contradicts, and a verifier takes no
# evidence in which somebody changed it.
test_E9_log_that_lies() {
    local digest
    asking ask ask
    sed 's/lab: boot loader and kernel 1.0/lab: boot loader and kernel 2.0/' \
        "$lab/binary_bios_measurements" >"$work/claims.bin"
    serve_machine claims "$lab" "$work/claims.bin"
    accepts 'another claim' fetch "$work/ask.cnf" "https://localhost:$port/page"
    says_not "$work/claims.log" 'boot log'
    digest=$(printf 'lab: boot loader and kernel 1.0' | sha256sum | cut -c1-64)
    replaced "$lab/binary_bios_measurements" "$digest" >"$work/lies.bin"
    serve_machine lies "$lab" "$work/lies.bin"
    accepts 'without the lie' fetch "$work/ask.cnf" "https://localhost:$port/page"
    says "$work/lies.log" 'the boot log is sent without its events of PCR 4: they do not replay'

    saved "localhost:$attested_port"
    replaced "$work/evidence.cmw" "$digest" >"$work/lie.cmw"
    ! cmp -s "$work/evidence.cmw" "$work/lie.cmw" || fail 'nothing was changed'
    run attest show "$work/lie.cmw" || true
    [[ $output == *'the boot log does not replay to PCR 4 (sha256): expected '* ]] ||
        fail 'the lie is not named'
}

run_tests "$@"
