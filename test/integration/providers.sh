#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Beside other providers, whatever their order, and under properties that the
# program's algorithms must have.
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

modules() {
    openssl version -m | cut -d'"' -f2
}

# beside PROVIDER: the lab's client.cnf and server.cnf with it, before and behind
# attest: $work/{client,server}-{before,behind}.cnf; and the same with map = start:
# $work/{client,server}-{before,behind}-start.cnf
beside() {
    local side order
    for side in client server; do
        variant "$side" "$side-before" "s/^default  *=.*/$1 = beside\n&/" \
            '$a[beside]\nactivate = 1'
        variant "$side" "$side-behind" "s/^attest  *=.*/&\n$1 = beside/" \
            '$a[beside]\nactivate = 1'
        sed -i 's/^log .*/&\nmap = first-use/' "$work/$side"-be*.cnf
        for order in before behind; do
            sed 's/^map .*/map = start/' "$work/$side-$order.cnf" >"$work/$side-$order-start.cnf"
        done
    done
}

# L6: a provider that fetches while it is initialised locks up with others
# (openssl#15793, #20653).
works_beside() {
    local order
    beside "$1"
    for order in before behind before-start behind-start; do
        run with "$work/client-$order.cnf" timeout "$seconds" openssl list -providers -verbose ||
            fail "$1 $order attest: openssl list ends with $?"
        [[ $output == *"name: attest: TLS attested by a TPM"* ]] || fail 'attest is not there'
        [[ $output == *$'\n  '"$1"$'\n'* ]] || fail "$1 is not there"
        accepts "$1 $order attest" fetch "$work/client-$order.cnf" \
            "https://localhost:$attested_port/page"
        refuses "$1 $order attest" 'sent no attestation evidence' \
            fetch "$work/client-$order.cnf" "https://localhost:$plain_port/page"
        serve "$1-$order" "$work/server-$order.cnf"
        accepts "server, $1 $order attest" fetch "$lab/client.cnf" "https://localhost:$port/page"
    done
}

test_L6_beside_legacy() {
    works_beside legacy
}

test_L6_beside_base() {
    works_beside base
}

# T14: tss2 itself uses OpenSSL, whose algorithms may then be a TPM's; where they are
# by preference, hashes included, TLS does not work for want of slots in the TPM, with
# and without attest, but the quoter must (check_tpm_providers).
test_L6_T14_beside_tpm2() {
    [[ -e $(modules)/tpm2.so ]] || skip 'tpm2-openssl is missing'
    TPM2OPENSSL_TCTI=$(<"$lab/tcti") works_beside tpm2
}

test_L6_beside_pkcs11() {
    [[ -e $(modules)/pkcs11.so ]] || skip 'pkcs11-provider is missing'
    works_beside pkcs11
}

# fips_variant NAME FROM: demands what only a FIPS provider has.
fips_variant() {
    variant "$2" "$1" 's/^providers .*/&\nalg_section = algorithms/' \
        '$a[algorithms]\ndefault_properties = fips=yes'
}

test_C6_fips_without_a_module() {
    local status=0
    fips_variant demanding client
    run fetch "$work/demanding.cnf" "https://localhost:$plain_port/page" && fail 'works'
    run attest check --conf "$work/demanding.cnf" || status=$?
    same 'status of attest check' 2 "$status"
    [[ $output == *'FAIL  FIPS: [algorithms] demands fips=yes and no provider named fips is active'* ]] ||
        fail 'attest check does not say why'
    variant client preferring 's/^providers .*/&\nalg_section = algorithms/' \
        '$a[algorithms]\ndefault_properties = ?fips=yes'
    accepts 'preferred' fetch "$work/preferring.cnf" "https://localhost:$attested_port/page"
    refuses 'preferred' 'sent no attestation evidence' \
        fetch "$work/preferring.cnf" "https://localhost:$plain_port/page"
    run attest check --conf "$work/preferring.cnf" || fail 'attest check fails'
}

test_C6_fips_with_its_module() {
    local side
    [[ -e $(modules)/fips.so ]] || skip 'no FIPS provider'
    openssl fipsinstall -module "$(modules)/fips.so" -out "$work/fipsmodule.cnf" -quiet
    for side in client server; do
        fips_variant "$side" "$side"
        sed -i -e "1i.include $work/fipsmodule.cnf" \
            -e 's/^default  *=.*/fips = fips_sect\nbase = base_sect/' "$work/$side.cnf"
        printf '[base_sect]\nactivate = 1\n' >>"$work/$side.cnf"
        # fipsinstall's sections come first: ours is named by the line behind them.
        sed -i -e '1{h;d}' -e '/^openssl_conf/{G}' "$work/$side.cnf"
    done
    run with "$work/client.cnf" openssl list -providers
    [[ $output == *FIPS* ]] || fail 'no FIPS provider is active'
    run attest check --conf "$work/client.cnf" || fail 'attest check fails'
    [[ $output == *'note  FIPS: [algorithms] demands fips=yes: TLS obeys'* ]] ||
        fail 'attest check does not say so'
    accepts 'client' fetch "$work/client.cnf" "https://localhost:$attested_port/page"
    refuses 'client' 'sent no attestation evidence' \
        fetch "$work/client.cnf" "https://localhost:$plain_port/page"
    serve fips "$work/server.cnf"
    accepts 'server' fetch "$lab/client.cnf" "https://localhost:$port/page"
}

run_tests "$@"
