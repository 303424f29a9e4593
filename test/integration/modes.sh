#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# C5: files that somebody else could write or replace decide over trust. attest
# check fails; the module goes on and warns.
# shellcheck source=lib.bash
. "${0%/*}/lib.bash"
need curl openssl swtpm

# All that a verifying machine reads, each in a folder of its own, two deep.
setup() {
    lab_up || return
    serve attested "$lab/server.cnf"
    attested_port=$port
}

# The files, by what they are; sets $all.
copy_world() {
    local what folder
    declare -gA all=()
    for what in conf conf-include module policy policy-include trust; do
        folder=$work/$what/inside
        mkdir -p "$folder"
        all[$what]=$folder/$what
    done
    cp "$ATTEST_BUILDDIR/.libs/attest.so" "${all[module]}"
    cp "$ATTEST_BUILDDIR/.libs/attest-inner.so" "${all[module]%/*}/"
    cp "$lab/ak-roots.pem" "${all[trust]}"
    printf 'expires = 2100-01-01T00:00:00Z\n' >"${all[policy-include]}"
    sed -e "s|^trust .*|trust = ${all[trust]}\n.include ${all[policy-include]}|" \
        "$lab/policy.cnf" >"${all[policy]}"
    printf '[unused]\nkey = value\n' >"${all[conf-include]}"
    sed -e "s|^module .*|module = ${all[module]}|" -e "s|^policy .*|policy = ${all[policy]}|" \
        "$lab/client.cnf" >"${all[conf]}"
    printf '.include %s\n' "${all[conf-include]}" >>"${all[conf]}"
    chmod 644 "${all[@]}"
}

checks() {
    run attest check --conf "${all[conf]}" --warn 0
}

# fails_with WHAT MODE-CHANGE PATH: until the mode is what it was.
fails_with() {
    local what=$1 change=$2 path=$3 mode status=0
    mode=$(stat -c %a "$path")
    chmod "$change" "$path"
    checks || status=$?
    same "$what, chmod $change ${path#"$work"/}: status" 2 "$status"
    [[ $output == *FAIL*"others can"* || $output == *FAIL*'is writable by group or others'* ]] ||
        fail "$what: failed for another reason"
    chmod "$mode" "$path"
}

test_C5_files_that_others_can_write() {
    local what
    copy_world
    checks || fail 'not in order from the start'
    for what in "${!all[@]}"; do
        fails_with "$what" g+w "${all[$what]}"
        fails_with "$what" o+w "${all[$what]}"
    done
    fails_with 'the second part' o+w "${all[module]%/*}/attest-inner.so"
    checks || fail 'not in order at the end'
}

test_C5_folders_that_others_can_write() {
    local what folder
    copy_world
    for what in "${!all[@]}"; do
        folder=${all[$what]%/*}
        fails_with "$what" g+w "$folder"
        fails_with "$what" o+w "$folder"
        fails_with "$what, one above" o+w "${folder%/*}"
        # Nobody replaces others' files there.
        chmod o+w,+t "$folder"
        checks || fail "$what: sticky"
        chmod o-w,-t "$folder"
    done
}

test_C5_the_module_warns() {
    copy_world
    sed -i -e "s|^log .*|log = $work/attest.out|" -e 's/^log_level .*/log_level = warn/' \
        "${all[conf]}"
    accepts 'in order' fetch "${all[conf]}" "https://localhost:$attested_port/page"
    says_not "$work/attest.out" 'others can'
    chmod o+w "${all[policy]}"
    accepts 'as before' fetch "${all[conf]}" "https://localhost:$attested_port/page"
    # The beginning of a long path is left out.
    says "$work/attest.out" 'policy/inside/policy: others can write it'
}

run_tests "$@"
