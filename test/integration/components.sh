#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# The README's example: server code (a folder) and model weights (a file) are
# measured as named components before the server starts, a policy is written from
# what the server shows, and when the weights are replaced curl says which
# component differs.
# shellcheck shell=bash source-path=SCRIPTDIR source=lib.bash
# shellcheck source=lib.bash
. "${0%/*}/lib.bash"
need curl swtpm tpm2_pcrread

setup() {
    # Two machines that booted the same: the second one stands for the first
    # after a reboot with other weights.
    lab_up --with-second || return
    mkdir -p "$work/app/lib"
    printf 'serve(model)\n' >"$work/app/main"
    printf 'load(weights)\n' >"$work/app/lib/model"
    seq 1 20000 >"$work/weights"
    app=$work/app
    weights=$work/weights
    install_on "$lab"
    serve first "$lab/server.cnf"
    attested_port=$port
}

# What a unit before the server's does at each boot.
install_on() {
    attest measure --conf "$1/server.cnf" --name app "$app" &&
        attest measure --conf "$1/server.cnf" --name model-weights "$weights"
}

# write_policy: $work/policy.cnf and the client's $work/client.cnf.
write_policy() {
    run attest policy --from "localhost:$attested_port" --trust "$lab/ak-roots.pem" \
        --machines '*.attested.test' --output "$work/policy.cnf" ||
        fail 'no policy'
    variant client client "s|^policy = .*|policy = $work/policy.cnf|"
}

# The second machine, as installed now: sets second_port, saves its evidence.
boot_second() {
    install_on "$lab/second" || fail 'cannot measure'
    serve second "$lab/second/server.cnf" -cert "$lab/second/server.pem" \
        -key "$lab/second/server.key"
    second_port=$port
    attest show "localhost:$port" --save "$work/other.json" >/dev/null
}

# The first machine, by the policy that was written.
control() {
    fetch "$work/client.cnf" "https://localhost:$attested_port/page"
}

test_replaced_weights_are_named() {
    local was is status=0
    write_policy
    has "$work/policy.cnf" 'component.app = sha256:' || fail 'app is not in the policy'
    was=$(sha256sum <"$weights")
    has "$work/policy.cnf" "component.model-weights = sha256:${was%% *}" ||
        fail 'the weights are not in the policy by their sha256sum'
    accepts 'curl, the weights of the policy' \
        fetch "$work/client.cnf" "https://localhost:$attested_port/page"
    attest show "localhost:$attested_port" --save "$work/good.json" >/dev/null

    # Another boot, other weights.
    seq 2 20001 >"$weights"
    is=$(sha256sum <"$weights")
    boot_second
    refuses 'curl, other weights' \
        "attest::component model-weights does not match policy: expected sha256:${was:0:8}..., got ${is:0:8}..." \
        fetch "$work/client.cnf" "https://localhost:$second_port/page"
    ATTEST_REPORT=stderr run fetch "$work/client.cnf" \
        "https://localhost:$second_port/page" || true
    [[ $output == *"expected sha256:${was%% *}, got sha256:${is%% *}"* ]] ||
        fail 'the report does not say it whole'
    run attest policy diff "$work/good.json" "$work/other.json" || status=$?
    same 'status of diff' 1 "$status"
    [[ $output == *"component model-weights: sha256:${was%% *} -> sha256:${is%% *}"* ]] ||
        fail 'diff does not name the weights'
}

# curl says the first thing; who has to mend it wants to know all of it.
test_check_names_every_component() {
    local status=0
    write_policy
    attest show "localhost:$attested_port" --save "$work/good.json" >/dev/null
    printf 'serve(other)\n' >"$app/main"
    seq 3 20002 >"$weights"
    boot_second
    run attest policy check "$work/policy.cnf" "$work/good.json" || fail 'refused'
    run attest policy check "$work/policy.cnf" "$work/other.json" || status=$?
    same 'status of check' 1 "$status"
    local name
    for name in app model-weights; do
        [[ $output == *"component $name does not match policy: expected sha256:"* ]] ||
            fail "check does not name $name"
    done
    [[ $output == *'next: '* ]] || fail 'check does not say what to do next'
}

run_tests "$@"
