#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Objects of two versions beside each other, and an upgrade under a program that
# runs (C14): what fits works, and what does not is said, by the program and by
# `attest check`.
# shellcheck source=lib.bash
. "${0%/*}/lib.bash"
need curl openssl swtpm
python3 -c 'import ssl' 2>/dev/null || skip_all 'python3 is missing'

readonly misfit='is of another version than attest.so'

setup() {
    lab_up || return
    serve attested "$lab/server.cnf"
    attested_port=$port
    serve plain /dev/null -cert "$lab/plain.pem" -key "$lab/plain.key"
    plain_port=$port
    built=$ATTEST_BUILDDIR/.libs
    interface=$(LC_ALL=C sed -n 's/^attest interface \([0-9]\)$/\1/p' < <(strings_of "$built/attest.so"))
    version=$("$ATTEST_BUILDDIR/attest" --version | sed -n 's/^attest \([0-9.]*\) .*/\1/p')
    [[ $interface == [0-8] && $version == ?*.?*.? ]] || return
}

strings_of() {
    LC_ALL=C tr '\000' '\n' <"$1"
}

# install_as MODULE SECOND: $modules with the two, each `same`, `newer` (another
# version, the same interface) or `other` (another interface). Never over a file
# that a program may have mapped.
install_as() {
    modules=$work/modules
    mkdir -p "$modules"
    make_object attest.so "$1"
    make_object attest-inner.so "$2"
}

# Numbers of as many octets in the place of their own.
make_object() {
    local from=$built/$1 to=$modules/$1
    case $2 in
    same) cp "$from" "$to.new" ;;
    newer) LC_ALL=C sed "s/\x00${version//./\\.}\x00/\x00${version%?}z\x00/g" "$from" >"$to.new" ;;
    other) LC_ALL=C sed "s/attest interface $interface\x00/attest interface 9\x00/" "$from" >"$to.new" ;;
    esac
    [[ $2 == same ]] || ! cmp -s "$from" "$to.new" || fail "$1: nothing of $2 in it"
    chmod 755 "$to.new"
    mv "$to.new" "$to"
}

# client SED-COMMAND...: $work/client.cnf, with those modules.
client() {
    variant client client "s|^module .*|module = $modules/attest.so|" "$@"
}

home() {
    fetch "$work/client.cnf" "https://localhost:$attested_port/page"
}

abroad() {
    fetch "$work/client.cnf" "https://localhost:$plain_port/page" -k
}

test_C14_one_interface_two_versions() {
    local pair
    for pair in 'same newer' 'newer same' 'newer newer'; do
        # shellcheck disable=SC2086
        install_as $pair
        client
        accepts "$pair" home
        refuses "$pair, plain server" 'sent no attestation evidence' abroad
    done
    check_says 0 "warn  module: $modules/attest.so is version ${version%?}z, this command $version" \
        --conf "$work/client.cnf"
}

test_C14_two_interfaces() {
    local curl_refused=27 # it has no context: CURLE_OUT_OF_MEMORY
    install_as same other
    client
    refuses 'second part of another interface' "$misfit; reinstall attest" home
    refuses 'second part of another interface, plain server' "$misfit; reinstall attest" abroad
    check_says 2 "FAIL  module: $modules/attest-inner.so is of another version than $modules/attest.so and this command" \
        --conf "$work/client.cnf"
    install_as other same
    refuses 'attest.so of another interface' "$misfit; reinstall attest" home
    refuses 'attest.so of another interface, plain server' "$misfit; reinstall attest" abroad
    check_says 2 "FAIL  module: $modules/attest.so is of another version than $modules/attest-inner.so and this command" \
        --conf "$work/client.cnf"
    # Both of another than the command is no fault of theirs.
    install_as other other
    accepts 'two of another interface' home
    check_says 0 "warn  module: $modules/attest.so is of another version than this command" \
        --conf "$work/client.cnf"
}

# As that of before there were numbers.
test_C14_no_number_at_all() {
    local curl_refused=27
    install_as same same
    LC_ALL=C sed 's/attest interface /attest INTERFACE /' "$modules/attest.so" >"$modules/new"
    chmod 755 "$modules/new"
    mv "$modules/new" "$modules/attest.so"
    client
    check_says 2 "FAIL  module: $modules/attest.so is of another version than $modules/attest-inner.so and this command" \
        --conf "$work/client.cnf"
    refuses 'no number' "$misfit; reinstall attest" home
}

# A program that has read its configuration, and makes its first SSL_CTX when it is
# told to: by a file that comes.
readonly waiting='
import hashlib, os, ssl, sys, time
hashlib.sha256(b"").hexdigest()
print("waiting", flush=True)
while not os.path.exists(sys.argv[1]):
    time.sleep(0.02)
try:
    context = ssl.create_default_context(cafile=sys.argv[2])
except ssl.SSLError as error:
    print("no context:", error, flush=True)
else:
    print("context", flush=True)
time.sleep(60)'

# wait_with [SED-COMMAND...]
wait_with() {
    rm -f "$work/go"
    client 's/^log_level .*/log_level = info/' "$@"
    spawn waiting with_exec "$work/client.cnf" python3 -c "$waiting" "$work/go" "$lab/ca.pem"
    says "$work/waiting.log" waiting
    await maps "$spawned" "$modules/attest.so" || fail 'attest.so is not mapped'
    ! maps "$spawned" "$modules/attest-inner.so" || fail 'attest-inner.so is mapped already'
}

maps() {
    has "/proc/$1/maps" "$2"
}

go() {
    touch "$work/go"
    says "$work/waiting.log" context
}

# pid_says STATUS TEXT
pid_says() {
    local status=0
    run attest check --warn 0 --pid "$spawned" || status=$?
    same 'status of attest check --pid' "$1" "$status"
    [[ $output == *"$2"* ]] || fail "attest check --pid does not say: $2"
}

test_C14_upgraded_under_a_program() {
    install_as same same
    wait_with
    install_as newer newer
    pid_says 0 "warn  upgrade: process $spawned still runs the $modules/attest.so of before: it was replaced or deleted. Restart it"
    go
    says_not "$work/waiting.log" 'no context'
    maps "$spawned" "$modules/attest-inner.so" || fail 'attest-inner.so is not mapped'
}

test_C14_downgraded_under_a_program() {
    install_as newer newer
    wait_with
    install_as same same
    go
    says_not "$work/waiting.log" 'no context'
}

readonly restart='attest was upgraded since this program began: restart this program'

test_C14_another_interface_under_a_program() {
    local pair from to
    for pair in 'same other' 'other same'; do
        read -r from to <<<"$pair"
        install_as "$from" "$from"
        wait_with
        install_as "$to" "$to"
        # Who may look into another's mapped files is root.
        ((EUID != 0)) ||
            pid_says 2 "FAIL  upgrade: process $spawned still runs the $modules/attest.so of before, which does not fit the attest-inner.so that is installed: it can make no TLS context. Restart it"
        go
        says "$work/waiting.log" "no context: $restart"
        says "$work/waiting.log" "attest: error: no TLS context can be made: $restart (it has the attest.so of before, which does not fit $modules/attest-inner.so)"
        says_not "$work/waiting.log" reinstall
    done
}

# Half an upgrade is no reason to restart anything.
test_C14_half_an_upgrade() {
    install_as same same
    wait_with
    install_as same same
    stop "$spawned"
    wait_with
    make_object attest-inner.so other
    pid_says 2 "FAIL  module: $modules/attest-inner.so is of another version than $modules/attest.so and this command"
    go
    says "$work/waiting.log" "$misfit; reinstall attest"
    says_not "$work/waiting.log" "$restart"
}

# What is mapped stays, whatever is installed.
test_C14_upgraded_after_the_first_context() {
    install_as same same
    wait_with
    go
    install_as other other
    pid_says 0 "warn  upgrade: process $spawned still runs the $modules/attest-inner.so of before: it was replaced or deleted. Restart it"
    [[ $output == *"the $modules/attest.so of before"* ]] || fail 'nothing of attest.so'
}

# With map = start there is nothing left to be mapped.
test_C14_S33_upgraded_under_a_program_that_was_ready() {
    install_as same same
    client 's/^log .*/&\nmap = start/'
    spawn waiting with_exec "$work/client.cnf" python3 -c "$waiting" "$work/go" "$lab/ca.pem"
    says "$work/waiting.log" waiting
    await maps "$spawned" "$modules/attest-inner.so" || fail 'attest-inner.so is not mapped'
    install_as other other
    go
    says_not "$work/waiting.log" 'no context'
}

run_tests "$@"
