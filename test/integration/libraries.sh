#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Programs that bring an OpenSSL of their own, or several, or come and go with
# it as plugins do (L2, L10).
# shellcheck source=lib.bash
. "${0%/*}/lib.bash"
need openssl swtpm "${CC:=cc}"

readonly repeats=${ATTEST_REPEATS:-50}
readonly status_of_program=42
readonly foreign='this program has an OpenSSL of its own, in which attest can guard nothing'

setup() {
    lab_up || return
    variant server both 's|^attester .*|&\nverifier = verifier_sect|' 's|^log_level .*|log_level = info|' \
        "\$a [verifier_sect]\\npolicy = $lab/policy.cnf"
    variant server strict 's|^default .*||' 's|^attester .*|base = provider:default|'
    # Not of a test's own folder, which goes with it.
    cp "$work/both.cnf" "$work/strict.cnf" "$lab"
}

# build NAME OPTION...: $work/NAME, of exits.c.
build() {
    "$CC" -std=c11 -D_GNU_SOURCE -g -o "$work/$1" "$ATTEST_SRCDIR/test/lib/exits.c" "${@:2}" -lpthread -ldl ||
        fail "$1 cannot be built"
}

build_static() {
    [[ -e $("$CC" -print-file-name=libssl.a) ]] || skip 'libssl.a is missing'
    # From 3.5 on Debian's libcrypto.a needs others.
    local -a needed=()
    ! grep -qa ZSTD_decompressStream "$("$CC" -print-file-name=libcrypto.a)" || needed=(-lz -lzstd)
    build "$@" -l:libssl.a -l:libcrypto.a "${needed[@]}"
}

build_host() {
    "$CC" -std=c11 -D_GNU_SOURCE -g -o "$work/host" "$ATTEST_SRCDIR/test/lib/plugins.c" -ldl ||
        fail 'the host cannot be built'
}

# takes CONF PROGRAM: the program's handshakes; how it ends, and what it says.
takes() {
    local status=0
    with "$1" timeout "$seconds" "$2" return "$lab/server.pem" "$lab/server.key" >"$work/said" 2>&1 ||
        status=$?
    printf '%s\n' "$status"
}

# Its SSL_CTX objects are none that we see; there are none, then.
test_L10_static_openssl_gets_no_tls() {
    local conf
    build_static own
    same 'without attest' "$status_of_program" "$(takes /dev/null "$work/own")"
    for conf in both strict; do
        same "$conf" 1 "$(takes "$lab/$conf.cnf" "$work/own")"
        # In its own error queue, and in our log.
        has "$work/said" "attest::$foreign" || fail "$conf: no reason"
        has "$work/said" "attest: error: $foreign" || fail "$conf: nothing logged"
    done
}

# As Node.js does: the module is bound to what the program lends.
test_L10_static_openssl_that_is_lent() {
    build_static lending -rdynamic
    same 'without attest' "$status_of_program" "$(takes /dev/null "$work/lending")"
    same 'status' "$status_of_program" "$(takes "$lab/both.cnf" "$work/lending")"
    has "$work/said" 'localhost is trusted' || fail 'not attested'
    says_not "$work/said" "$foreign"
}

# A second libssl on the libcrypto that is ours: what it asks is nobody else's question,
# and no context of it goes unattested (S35).
test_L10_S35_static_libssl_on_the_shared_libcrypto() {
    [[ -e $("$CC" -print-file-name=libssl.a) ]] || skip 'libssl.a is missing'
    build mixed -l:libssl.a -lcrypto -l:libcrypto.a
    same 'without attest' "$status_of_program" "$(takes /dev/null "$work/mixed")"
    same 'status' "$status_of_program" "$(takes "$lab/both.cnf" "$work/mixed")"
    has "$work/said" 'localhost is trusted' || fail 'not attested'
    sed '/^attester  *=/d' "$lab/both.cnf" >"$work/verifies.cnf"
    same 'status of who proves nothing' 1 "$(takes "$work/verifies.cnf" "$work/mixed")"
    has "$work/said" 'sent no attestation evidence' || fail 'no reason'
}

# Two in one process: the plugin's is refused, the program's is attested.
test_L10_two_in_one_process() {
    local first=''
    build_host
    build_static own.so -shared -fPIC -fvisibility=hidden -Wl,--exclude-libs,ALL -Wl,-Bsymbolic
    build shared.so -shared -fPIC -fvisibility=hidden -lssl -lcrypto
    run with "$lab/both.cnf" "$work/host" 2 "$work/shared.so" "$lab/server.pem" "$lab/server.key" ||
        fail 'the plugin with the shared library fails'
    [[ $output == *'localhost is trusted'* ]] || fail 'not attested'
    [[ ${ATTEST_SANITIZER:-no} == no ]] || first=$(libasan):
    ! run with "$lab/both.cnf" env "LD_PRELOAD=${first}libssl.so.3" "$work/host" 2 "$work/own.so" \
        "$lab/server.pem" "$lab/server.key" || fail 'the plugin of its own has TLS'
    [[ $output == *"attest::$foreign"* ]] || fail 'no reason'
}

# flat COUNT PLUGIN: neither memory nor descriptors grow with it. What a cycle
# may leave in a libcrypto that stays is OpenSSL's: measured without attest too.
flat() {
    local kib descriptors bare
    run with /dev/null "$work/host" "$1" "$2" "$lab/server.pem" "$lab/server.key" || fail 'without attest'
    bare=$(sed -n 's/^grown \(.*\) .*/\1/p' <<<"$output")
    sed -i 's|^log_level .*|log_level = error|' "$lab/both.cnf"
    run with "$lab/both.cnf" "$work/host" "$1" "$2" "$lab/server.pem" "$lab/server.key" || fail 'it fails'
    read -r kib descriptors < <(sed -n 's/^grown //p' <<<"$output")
    note "$1 cycles: the second half grew by $kib KiB (without attest $bare KiB), $descriptors descriptors"
    same 'descriptors' 0 "$descriptors"
    # Sanitizers keep what was freed.
    [[ ${ATTEST_SANITIZER:-no} == no ]] || return 0
    ((kib - bare <= 256 + $1 / 4)) || fail "grows by $kib KiB"
}

test_L2_plugin_comes_and_goes() {
    build_host
    build plugin.so -shared -fPIC -fvisibility=hidden -lssl -lcrypto
    flat "$repeats" "$work/plugin.so"
}

run_tests "$@"
