#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# attest policy in all its forms, on a lab: from this machine, from a boot log, as
# a reference; check and diff of what it wrote.
# shellcheck shell=bash source-path=SCRIPTDIR source=lib.bash
# shellcheck source=lib.bash
. "${0%/*}/lib.bash"
need curl swtpm tpm2_pcrextend

setup() {
    lab_up || return
    serve attested "$lab/server.cnf"
    attested_port=$port
    roots=$lab/ak-roots.pem
}

# takes POLICY: curl accepts the lab's server by it.
takes() {
    variant client "${1##*/}.client" "s|^policy = .*|policy = $1|"
    accepts "curl with ${1##*/}" fetch "$work/${1##*/}.client.cnf" \
        "https://localhost:$attested_port/page"
}

test_from_this_machine() {
    ends 0 attest policy --here --conf "$lab/server.cnf" --trust "$roots" \
        --host localhost --certificate-file "$lab/server.pem" --output "$work/here"
    prints 'Compare before you use it'
    prints_not 'certificate: none was tried'
    takes "$work/here"
    # Without the certificate its rule is written and not tried.
    ends 0 attest policy --here --conf "$lab/server.cnf" --trust "$roots" \
        --host localhost --output "$work/untried"
    prints 'certificate: none was tried'
    has "$work/untried" 'certificate = measured' || fail 'the rule is not written'
    takes "$work/untried"
    # A certificate that nobody measured there.
    ends 1 attest policy --here --conf "$lab/server.cnf" --trust "$roots" \
        --certificate-file "$lab/plain.pem"
    prints 'nothing written: '
    # The file that programs read, and the name of this machine.
    ends 0 env OPENSSL_CONF="$lab/server.cnf" "$ATTEST_BUILDDIR/attest" policy --here \
        --trust "$roots"
    prints "names       = $(uname -n)"
}

# A server that sends its boot log tells what made each value.
test_events_stand_above_their_values() {
    variant server boot "s|^measured_log .*|&\nboot_log = $lab/binary_bios_measurements|"
    serve boot "$work/boot.cnf"
    ends 0 attest policy --from "localhost:$port" --trust "$roots"
    prints '#   EV_EFI_VARIABLE_DRIVER_CONFIG  SecureBoot'
    prints $'#   EV_SEPARATOR  separator\npcr.7 '
    ends 0 attest policy --here --conf "$work/boot.cnf" --trust "$roots"
    prints '#   EV_EFI_VARIABLE_DRIVER_CONFIG  SecureBoot'
}

test_here_without_an_attester() {
    ends 2 attest policy --here --conf "$lab/client.cnf" --trust "$roots"
    prints 'no attester is configured: expected attester = SECTION'
    variant server broken 's|^ak .*|ak = 0x81010009|'
    ends 4 attest policy --here --conf "$work/broken.cnf" --trust "$roots"
    variant server wrong 's|^pcrs .*|pcrs = md5:0|'
    ends 2 attest policy --here --conf "$work/wrong.cnf" --trust "$roots"
    prints 'PCR selection'
}

# What the log leads to is what the machine shows.
test_from_a_boot_log() {
    ends 0 attest policy --boot-log "$lab/binary_bios_measurements" \
        --measured-log "$lab/events.cel" --host localhost --machines '*.attested.test' \
        --trust "$roots" --output "$work/log"
    prints 'nothing vouches for it'
    takes "$work/log"
    same 'PCRs' "$(sed -n 's/^pcr\.\([0-7]\) *= *\([0-9a-f]*\).*/\1 \2/p' "$lab/policy.cnf")" \
        "$(sed -n 's/^pcr\.\([0-7]\) *= *\([0-9a-f]*\).*/\1 \2/p' "$work/log")"
    has "$work/log" '#   EV_S_CRTM_VERSION' || fail 'the first event is not named'
    has "$work/log" 'SecureBoot' || fail 'the variable is not named'
    has "$work/log" '#   EV_SEPARATOR' || fail 'the separators are not named'
    ends 2 attest policy --boot-log "$lab/binary_bios_measurements" --trust "$roots"
    prints '--boot-log needs --host and --machines'
    ends 2 attest policy --boot-log "$lab/binary_bios_measurements" --trust "$roots" \
        --host localhost --machines any --bank md5
    prints 'expected sha256, sha384 or sha512'
    # The lab's log has one bank.
    ends 3 attest policy --boot-log "$lab/binary_bios_measurements" --trust "$roots" \
        --host localhost --machines any --bank sha384
}

# A reference alone, put into a policy by hand.
test_a_reference() {
    ends 0 attest policy --from "localhost:$attested_port" --trust "$roots" \
        --reference golden --output "$work/golden"
    has "$work/golden" '[golden]' || fail 'no section'
    has "$work/golden" 'component.server-code = sha256:' || fail 'no component'
    ! has "$work/golden" 'trust' || fail 'more than the values'
    {
        sed '/^pcr\./d; /^component\./d; s/^mode .*/&\nreference = golden/' "$lab/policy.cnf"
        cat "$work/golden"
    } | sed "s|^trust .*|trust = $roots|" >"$work/whole"
    takes "$work/whole"
    ends 0 attest policy check "$work/whole"
    prints 'one of 1 references'
    sed "s/^\(component.server-code = sha256:\).*/\1$(printf '%064d' 1)/" "$work/whole" \
        >"$work/other"
    ends 1 attest policy check "$work/other" "localhost:$attested_port"
    prints 'component server-code does not match'
}

test_check_lists_everything() {
    attest show "localhost:$attested_port" --save "$work/evidence.json" >/dev/null
    ends 0 attest policy check "$lab/policy.cnf" "$work/evidence.json"
    prints '[lab] accepts localhost'
    sed -e "s|^trust .*|trust = $lab/ca.pem|" \
        -e "s/^pcr.2 .*/pcr.2 = $(printf '%064d' 2)/" \
        -e "s/^pcr.4 .*/pcr.4 = $(printf '%064d' 4)/" \
        -e "s/^\(component.server-code = sha256:\).*/\1$(printf '%064d' 1)/" \
        "$lab/policy.cnf" >"$work/policy.cnf"
    ends 1 attest policy check "$work/policy.cnf" "$work/evidence.json"
    prints '[lab] REFUSES localhost'
    prints 'PCR 2 does not match policy: expected 0000'
    prints 'PCR 4 does not match policy: expected 0000'
    prints 'component server-code does not match policy: expected sha256:0000'
    prints 'issuer'
    prints 'next: '
    # Certificates of the lab live for a month.
    ends 1 attest policy check "$lab/policy.cnf" "$work/evidence.json" --at 2099-01-01
    prints 'expired'
    # Another connection's evidence.
    sed 's/"channel": "......../"channel": "00000000/' "$work/evidence.json" \
        >"$work/other.json"
    ends 3 attest policy check "$lab/policy.cnf" "$work/other.json"
    prints 'made for another connection'
}

test_check_of_a_policy_alone() {
    ends 0 attest policy check "$lab/policy.cnf"
    prints '[lab] require: '
    sed "s|^machines .*|machines = any|; s|^trust .*|trust = $roots|" "$lab/policy.cnf" \
        >"$work/policy.cnf"
    ends 0 attest policy check "$work/policy.cnf"
    prints "policy.cnf:6: [lab] machines = any"
    sed 's/^mode .*/mode = maybe/' "$lab/policy.cnf" >"$work/policy.cnf"
    ends 2 attest policy check "$work/policy.cnf"
    prints 'policy.cnf:8: mode: '
}

test_diff_of_evidence() {
    attest show "localhost:$attested_port" --save "$work/a.json" >/dev/null
    ends 0 attest policy diff "$work/a.json" "$work/a.json"
    TPM2TOOLS_TCTI=$(<"$lab/tcti") tpm2_pcrextend "9:sha256=$(printf '%064d' 1)"
    attest show "localhost:$attested_port" --save "$work/b.json" >/dev/null
    ends 1 attest policy diff "$work/a.json" "$work/b.json"
    prints 'PCR 9 sha256 (initrd, files GRUB read): 0000'
    prints 'same: sha256 PCRs 0 1 2 3 4 5 6 7 8 11'
    ends 2 attest policy diff "$lab/policy.cnf" "$work/b.json"
    prints "attest policy check $lab/policy.cnf $work/b.json"
}

test_diff_of_policies() {
    sed -e "s|^trust .*|trust = $roots|" -e 's/^pcr.4 .*/& '"$(printf '%064d' 4)/" \
        -e '/^pcr.7/d' -e 's/^machines .*/machines = x.test/' "$lab/policy.cnf" \
        >"$work/policy.cnf"
    ends 0 attest policy diff "$lab/policy.cnf" "$lab/policy.cnf"
    ends 1 attest policy diff "$lab/policy.cnf" "$work/policy.cnf"
    prints "[lab] pcr.4 (boot loader and kernel): only in B: $(printf '%064d' 4)"
    prints '[lab] pcr.7 (Secure Boot policy): only in A: '
    prints '[lab] machines: machine-a.attested.test -> x.test'
    prints_not 'trust'
    sed -i "s|^trust .*|trust = $lab/ca.pem|" "$work/policy.cnf"
    ends 1 attest policy diff "$lab/policy.cnf" "$work/policy.cnf"
    prints '[lab] trust: only in A: '
    prints '[lab] trust: only in B: '
}

run_tests "$@"
