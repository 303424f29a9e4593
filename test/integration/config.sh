#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Mistakes in openssl.cnf: what the module can see refuses everything; what it
# cannot, `attest check` names.
# shellcheck source=lib.bash
. "${0%/*}/lib.bash"
need curl openssl swtpm

setup() {
    lab_up || return
    serve attested "$lab/server.cnf"
    attested_port=$port
    serve plain /dev/null -cert "$lab/plain.pem" -key "$lab/plain.key"
    plain_port=$port
}

home() {
    fetch "$1" "https://localhost:$attested_port/page"
}

# check_names TEXT CONF: attest check fails, with that among what it says.
check_names() {
    check_says 2 "$1" --conf "$2"
}

# mistake NAME REASON FINDING SED-COMMAND...: in the client's configuration;
# refused, for the reason, and found.
mistake() {
    local name=$1 reason=$2 finding=$3
    shift 3
    variant client "$name" "$@"
    refuses "$name" "attest::$reason" home "$work/$name.cnf"
    refuses "$name, plain server" "attest::$reason" \
        fetch "$work/$name.cnf" "https://localhost:$plain_port/page" -k
    check_names "$finding" "$work/$name.cnf"
}

readonly neither='attest is loaded with neither attester nor verifier (a misspelt key?); see: attest check'

test_C10_misspelt_roles() {
    local key
    for key in verfier Verifier verifier_ verify attestor; do
        mistake "$key" "$neither" "$key in [attest_sect] has no effect" \
            "s/^verifier /$key /"
    done
    mistake none "$neither" 'neither attester nor verifier' '/^verifier /d'
    mistake section 'verifier = verifier_sekt: openssl.cnf has no section [verifier_sekt] (or it is empty)' \
        'openssl.cnf has no section [verifier_sekt]' 's/^verifier .*/verifier = verifier_sekt/'
    mistake header 'verifier = verifier_sect: openssl.cnf has no section [verifier_sect] (or it is empty)' \
        'openssl.cnf has no section [verifier_sect]' 's/^\[verifier_sect\]/[verifier_sekt]/'
    mistake attester 'attester = attester_sect: openssl.cnf has no section [attester_sect]' \
        'openssl.cnf has no section [attester_sect]' 's/^verifier .*/&\nattester = attester_sect/'
}

test_C10_misspelt_keys() {
    local key
    for key in Policy policies file; do
        mistake "$key" "$neither" \
            "$key in [verifier_sect] has no effect" "s/^policy /$key /"
    done
    mistake log 'log = syslogd: expected stderr, syslog or an absolute path' 'log = syslogd' \
        's/^log .*/log = syslogd/'
    mistake map 'map = yes: expected first-use or start' 'map = yes: expected first-use or start' \
        's/^log .*/&\nmap = yes/'
    mistake maps "map = : expected first-use or start" 'map = : expected first-use or start' \
        's/^log .*/&\nmap =/'
    [[ ! -e syslogd ]] || fail 'there is a log all the same, in the current folder'
    mistake level 'log_level = verbose: expected error, warn, info or debug' 'log_level = verbose' \
        's/^log_level .*/log_level = verbose/'
}

# OpenSSL hands the module no keys that it does not know.
test_C10_keys_that_only_the_command_sees() {
    variant client loglevel 's/^log_level /loglevel /'
    accepts 'loglevel' home "$work/loglevel.cnf"
    check_names 'loglevel in [attest_sect] has no effect. Did you mean log_level?' \
        "$work/loglevel.cnf"
    # Half of the roles would do for a machine that only proves.
    variant client prover 's/^verifier /verfier /' 's/^log .*/&\nattester = attester_sect/' \
        '$a[attester_sect]' '$aquoter = tcti:device:/dev/tpmrm0' '$aak = 0x81010002' \
        "\$aak_chain = $lab/ak-chain.pem"
    accepts 'prover' fetch "$work/prover.cnf" "https://localhost:$plain_port/page"
    check_names 'verfier in [attest_sect] has no effect. Did you mean verifier?' \
        "$work/prover.cnf"
    variant client misplaced "s|^log_level .*|&\npolicy = $lab/policy.cnf|"
    accepts 'misplaced' home "$work/misplaced.cnf"
    check_names 'policy in [attest_sect] has no effect. It belongs into the verifier section' \
        "$work/misplaced.cnf"
    variant client twice "s|^policy .*|policy = /nonexistent\n&|"
    accepts 'twice' home "$work/twice.cnf"
    check_names 'policy in [verifier_sect] again' "$work/twice.cnf"
}

# cannot_prove NAME FINDING SED-COMMAND...: in the server's.
cannot_prove() {
    local name=$1 finding=$2
    shift 2
    variant server "$name" "$@"
    serve "$name" "$work/$name.cnf"
    refuses "$name" 'alert' fetch "$lab/client.cnf" "https://localhost:$port/page"
    check_names "$finding" "$work/$name.cnf"
}

test_C10_misspelt_in_the_servers() {
    cannot_prove attestor 'attestor in [attest_sect] has no effect. Did you mean attester?' \
        's/^attester /attestor /'
    says "$work/attestor.log" 'neither attester nor verifier'
    refuses 'who does not ask' 'alert' fetch /dev/null "https://localhost:$port/page"
    cannot_prove quotter 'quotter in [attester_sect] has no effect. Did you mean quoter?' \
        's/^quoter /quotter /'
    says "$work/quotter.log" 'the attester section has no quoter'
    unattested 'who does not ask' fetch /dev/null "https://localhost:$port/page"
    cannot_prove ak-chain 'ak-chain in [attester_sect] has no effect. Did you mean ak_chain?' \
        's/^ak_chain /ak-chain /'
    says "$work/ak-chain.log" 'the attester section has no ak_chain'
}

# Without the provider's section there is no module that could refuse.
test_C10_misspelt_around_the_module() {
    local -A mistakes=(
        [providers]='s/^providers /prowiders /'
        [openssl_conf]='s/^openssl_conf /openssl_config /'
        [attest_sect]='s/^\[attest_sect\]/[attestation]/'
    )
    local name
    for name in "${!mistakes[@]}"; do
        variant client "$name" "${mistakes[$name]}"
        accepts "$name" fetch "$work/$name.cnf" "https://localhost:$plain_port/page"
        check_names 'FAIL' "$work/$name.cnf"
    done
}

# One hook for both, and they must agree.
test_C7_activated_twice() {
    variant client same 's/^attest  *=.*/&\nagain = again_sect/' '$a[again_sect]' \
        "\$amodule = $ATTEST_BUILDDIR/.libs/attest.so" '$aactivate = 1' \
        '$averifier = verifier_sect' '$alog = stderr' '$alog_level = error'
    ATTEST_REPORT=stderr accepts 'twice the same' home "$work/same.cnf"
    same 'verdicts' 1 "$(grep -c 'is trusted' <<<"$output")"
    refuses 'twice the same, plain server' 'sent no attestation evidence' \
        fetch "$work/same.cnf" "https://localhost:$plain_port/page"
    sed '$s/^log_level .*/log_level = warn/' "$work/same.cnf" >"$work/other.cnf"
    refuses 'twice, but not the same' 'attest is activated twice with different settings' \
        home "$work/other.cnf"
}

# A second copy of the file is another module.
test_C7_two_files() {
    mkdir "$work/copy"
    cp "$ATTEST_BUILDDIR/.libs/attest.so" "$ATTEST_BUILDDIR/.libs/attest-inner.so" "$work/copy"
    variant client files 's/^attest  *=.*/&\nagain = again_sect/' '$a[again_sect]' \
        "\$amodule = $work/copy/attest.so" '$aactivate = 1' '$averifier = verifier_sect'
    refuses 'two files' 'TLS extension 0xffa7 is taken: attest is loaded from two files' \
        home "$work/files.cnf"
}

# A program that names its own section does not see openssl.cnf's; the module
# follows the configuration of each.
test_C10_log_goes_where_it_is_told() {
    variant client file "s|^log .*|log = $work/attest.out|" 's/^log_level .*/log_level = info/'
    accepts 'log' home "$work/file.cnf"
    says "$work/attest.out" 'info: localhost is trusted: machine-a.attested.test'
    refuses 'log' 'sent no attestation evidence' \
        fetch "$work/file.cnf" "https://localhost:$plain_port/page"
    says "$work/attest.out" 'error: localhost is refused: localhost sent no attestation evidence'
    same 'mode of the log' 640 "$(stat -c %a "$work/attest.out")"
    # A log that cannot be written stops nobody.
    variant client nowhere "s|^log .*|log = $work/nothing/attest.out|"
    accepts 'no log' home "$work/nowhere.cnf"
}

# As in a container. What is refused is said all the same, and nothing else.
test_L14_no_syslog() {
    [[ ! -e /dev/log && ! -e /run/systemd/journal/socket ]] || skip 'this machine has a syslog'
    variant client quiet 's|^log .*|log = syslog|' 's/^log_level .*/log_level = info/'
    refuses 'no syslog' 'attest: error: localhost is refused: localhost sent no attestation evidence' \
        fetch "$work/quiet.cnf" "https://localhost:$plain_port/page"
    accepts 'no syslog' home "$work/quiet.cnf"
    says_not "$work/output" 'is trusted'
}

run_tests "$@"
