#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# attest check, on machines as the lab makes them.
# shellcheck shell=bash source-path=SCRIPTDIR source=lib.bash
# shellcheck source=lib.bash
. "${0%/*}/lib.bash"
need swtpm

setup() {
    lab_up
}

test_C5_a_proving_machine_is_in_order() {
    ends 0 attest check --conf "$lab/server.cnf" --warn 0
    prints 'ok    default provider: named and active'
    prints 'ok    module: '
    prints 'ok    AK: 0x81010002 is the key of the AK certificate'
    prints "ok    event log: $lab/events.cel replays to PCR 15"
    prints 'ok    evidence: '
    prints_not 'FAIL'
    prints_not 'warn'
}

test_C5_a_verifying_machine_is_in_order() {
    ends 0 attest check --conf "$lab/client.cnf" --warn 0
    prints 'ok    module: '
    prints "ok    policy: $lab/policy.cnf"
    prints_not 'FAIL'
    prints_not 'warn'
}

test_the_file_of_the_environment_is_the_default() {
    ends 0 env OPENSSL_CONF="$lab/client.cnf" "$ATTEST_BUILDDIR/attest" check
    prints "ok    configuration: $lab/client.cnf"
    ends 2 attest check
    prints '/dev/null is not a regular file'
}

# The lab's certificates live for a month.
test_P11_only_strict_warnings_change_the_status() {
    ends 0 attest check --conf "$lab/server.cnf" --warn 100d
    prints 'warn  AK chain: AK certificate CN='
    ends 2 attest check --conf "$lab/server.cnf" --warn 100d --strict
    ends 0 attest check --conf "$lab/server.cnf" --warn 1d --strict
    ends 0 attest check --conf "$lab/client.cnf" --warn 1d --strict
    ends 2 attest check --conf "$lab/client.cnf" --warn 100d --strict
    prints 'warn  trust: '
}

test_C1_missing_module() {
    variant server moved 's|^module .*|module = /nonexistent/attest.so|'
    ends 2 attest check --conf "$work/moved.cnf"
    prints 'FAIL  module: /nonexistent/attest.so (as configured): No such file'
}

test_C1_missing_second_part() {
    local module
    module=$(sed -n 's/^module *= *\([^ #]*\).*/\1/p' "$lab/server.cnf")
    cp "$module" "$work/attest.so"
    variant server alone "s|^module .*|module = $work/attest.so|"
    ends 2 attest check --conf "$work/alone.cnf"
    prints "FAIL  module: $work/attest-inner.so (beside attest.so): No such file"
}

test_C1_module_that_is_none() {
    variant server other \
        "s|^module .*|module = $(gcc -print-file-name=libcrypto.so)|"
    ends 2 attest check --conf "$work/other.cnf"
    prints 'does not export OSSL_provider_init'
}

test_C5_module_that_others_can_write() {
    local module
    module=$(sed -n 's/^module *= *\([^ #]*\).*/\1/p' "$lab/server.cnf")
    cp "$module" "${module%/*}/attest-inner.so" "$work"
    variant server own "s|^module .*|module = $work/attest.so|"
    ends 0 attest check --conf "$work/own.cnf"
    chmod o+w "$work/attest-inner.so"
    ends 2 attest check --conf "$work/own.cnf"
    prints "FAIL  module: $work/attest-inner.so is writable by group or others"
}

test_C5_configuration_that_others_can_write() {
    variant client own 's/^log_level.*/log_level = debug/'
    chmod g+w "$work/own.cnf"
    ends 2 attest check --conf "$work/own.cnf"
    prints 'FAIL  configuration: '
}

test_C2_no_default_provider() {
    variant client nodefault '/^default /d'
    ends 2 attest check --conf "$work/nodefault.cnf"
    prints 'FAIL  default provider: '
    # It is no false alarm.
    ! with "$work/nodefault.cnf" openssl dgst /dev/null || fail 'programs work'
}

test_C10_misspelt_key() {
    variant client typo 's/^verifier/verfier/'
    ends 2 attest check --conf "$work/typo.cnf"
    prints 'FAIL  unknown key: '
    prints 'Did you mean verifier?'
    prints 'neither attester nor verifier'
}

test_T1_no_tpm() {
    variant server deaf "s|^quoter .*|quoter = tcti:swtpm:host=127.0.0.1,port=$(free_port)|"
    ends 4 attest check --conf "$work/deaf.cnf" --warn 0
    prints 'FAIL  TPM: '
    # Configuration comes first.
    sed -i 's/^log_level/log_levl/' "$work/deaf.cnf"
    ends 2 attest check --conf "$work/deaf.cnf" --warn 0
}

test_T1_no_permission() {
    [[ $EUID == 0 ]] || skip 'needs root, to be somebody else'
    install -m 600 "$lab/ak-chain.pem" "$work/chain.pem"
    variant server private "s|^ak_chain .*|ak_chain = $work/chain.pem|"
    chmod 755 "$scratch" "$work" "$lab"
    setpriv --reuid=65534 --regid=65534 --clear-groups \
        test -x "$ATTEST_BUILDDIR/attest" || skip 'the build tree is private'
    ends 0 attest check --conf "$work/private.cnf"
    ends 2 setpriv --reuid=65534 --regid=65534 --clear-groups \
        "$ATTEST_BUILDDIR/attest" check --conf "$work/private.cnf"
    prints "chain.pem"
    prints 'Permission denied'
}

test_json_and_colour() {
    ends 0 attest check --json --conf "$lab/client.cnf" --warn 0
    prints '{"result":"ok","exit":0,"findings":[{"level":"ok",'
    same 'lines' 1 "$(wc -l <"$work/output")"
    command -v script >/dev/null || skip 'script is missing'
    # shellcheck disable=SC2016 # the inner shell expands them
    export TERM=xterm check="$ATTEST_BUILDDIR/attest check --conf $lab/client.cnf"
    ends 0 script -qec "$check" /dev/null
    prints $'\e[32mok  \e[0m  module'
    ends 0 env NO_COLOR=1 script -qec "$check" /dev/null
    prints_not $'\e'
    ends 0 attest check --conf "$lab/client.cnf"
    prints_not $'\e'
}

run_tests "$@"
