#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# attest measure --all, as attest-measure.service runs it, and the units themselves.
# shellcheck shell=bash source-path=SCRIPTDIR source=lib.bash
# shellcheck source=lib.bash
. "${0%/*}/lib.bash"
need swtpm

setup() {
    lab_up
}

# write_agents NAME LINE...: $work/NAME, an attestd.cnf with the lab's TPM and log,
# and these lines.
write_agents() {
    local name=$1
    shift
    printf '%s\n' '[attestd]' "quoter = tcti:$(<"$lab/tcti")" 'ak = 0x81010002' \
        "ak_chain = $lab/ak-chain.pem" "measured_log = $lab/events.cel" "$@" >"$work/$name"
}

# What the log says, one content a line.
contents() {
    tr -d '\036' <"$lab/events.cel" | sed 's/.*"string":"\([^"]*\)".*/\1/'
}

test_all_is_measured_once_and_attested() {
    local app=$work/app certificate before
    mkdir "$app"
    echo 'serve()' >"$app/main"
    seq 1 1000 >"$work/weights"
    issue www 'DNS:localhost'
    write_agents attestd.cnf '[certificates]' "www = $work/www.pem" \
        '[components]' "app = $app" "weights = $work/weights" \
        "image = sha256:$(printf '%064d' 7)"
    before=$(contents | wc -l)
    ends 0 attest measure --all --conf "$work/attestd.cnf"
    same 'measured' 4 "$(grep -c '^measured into PCR 15: ' <<<"$output")"
    certificate=$(openssl x509 -in "$work/www.pem" -outform DER | sha256sum)
    same 'last event' "certificate sha256:${certificate%% *}" "$(contents | tail -n 1)"
    same 'component' "component weights sha256:$(sha256sum <"$work/weights" | cut -c1-64)" \
        "$(contents | grep '^component weights ')"
    ends 0 attest measure --all --json --conf "$work/attestd.cnf"
    same 'already' 4 "$(grep -c '"result":"already"}$' <<<"$output")"
    same 'events' $((before + 4)) "$(contents | wc -l)"

    # The log still replays to the PCR that the TPM quotes, and clients see it all.
    serve attested "$lab/server.cnf" -cert "$work/www.pem" -key "$work/www.key"
    policy_variant strict '$a components = any' "\$a component.app = sha256:$(contents |
        sed -n 's/^component app sha256://p')" \
        "\$a component.weights = sha256:$(sha256sum <"$work/weights" | cut -c1-64)" \
        "\$a component.image = sha256:$(printf '%064d' 7)"
    accepts 'with all components' fetch "$work/strict.cnf" "https://localhost:$port/page"
}

test_a_missing_file_stops_it_before_anything_is_measured() {
    local before
    before=$(contents)
    echo new >"$work/new"
    write_agents attestd.cnf '[components]' "new = $work/new" "gone = $work/gone"
    ends 2 attest measure --all --conf "$work/attestd.cnf"
    [[ $output == *"$work/attestd.cnf: [components] gone: cannot open $work/gone: "* ]] ||
        fail 'does not name what is missing'
    same 'log' "$before" "$(contents)"
}

test_an_openssl_cnf_does_too() {
    echo text >"$work/file"
    {
        cat "$lab/server.cnf"
        printf '[components]\nfrom-openssl = %s\n' "$work/file"
    } >"$work/server.cnf"
    ends 0 env OPENSSL_CONF="$work/server.cnf" "$ATTEST_BUILDDIR/attest" measure --all
    [[ $output == 'measured into PCR 15: component from-openssl sha256:'* ]] ||
        fail 'is not measured'
    ends 2 attest measure --all --conf "$lab/client.cnf"
    [[ $output == *"$lab/client.cnf says nothing to measure: write [components]"* ]] ||
        fail 'does not say what to write'
}

# Who may ask the agent is not the matter of a boot.
test_users_that_are_missing() {
    echo one >"$work/code"
    write_agents attestd.cnf 'allow = no-such-user' '[components]' "code = $work/code"
    ends 0 attest measure --all --conf "$work/attestd.cnf"
}

# A policy that lists the one digest refuses, and --all has said so.
test_a_changed_component_is_told() {
    local one two
    echo one >"$work/code"
    one=$(sha256sum <"$work/code" | cut -c1-64)
    write_agents attestd.cnf '[components]' "code = $work/code"
    ends 0 attest measure --all --conf "$work/attestd.cnf"
    echo two >"$work/code"
    two=$(sha256sum <"$work/code" | cut -c1-64)
    ends 0 attest measure --all --conf "$work/attestd.cnf"
    [[ $output == *'component code was measured before with another digest: '* ]] ||
        fail 'no warning'
    serve attested "$lab/server.cnf"
    policy_variant two '$a components = any' "\$a component.code = sha256:$two"
    policy_variant both '$a components = any' "\$a component.code = sha256:$two sha256:$one"
    control() { fetch "$work/both.cnf" "https://localhost:$port/page"; }
    refuses 'the earlier digest' 'component code does not match policy' \
        fetch "$work/two.cnf" "https://localhost:$port/page"
}

is_held() {
    ! flock --nonblock "$lab/events.cel.lock" true
}

test_T15_somebody_holds_the_lock() {
    local before=$SECONDS
    write_agents attestd.cnf '[components]' "locked = $lab/component"
    spawn holder flock --no-fork "$lab/events.cel.lock" sleep 600
    await is_held
    ends 4 attest measure --all --conf "$work/attestd.cnf" --wait 200
    prints " is locked by process $spawned"
    ((SECONDS - before < 10)) || fail 'waits for ever'
    stop "$spawned"
    ends 0 attest measure --all --conf "$work/attestd.cnf"
}

# Ours alone are looked at: units of other packages have faults of their own. Of
# systemd's, all that ours require is there, by its name.
test_units_are_as_systemd_wants_them() {
    command -v systemd-analyze >/dev/null || skip 'systemd-analyze is missing'
    local unit units=$work/units
    mkdir "$units"
    for unit in attestd.service attest-measure.service; do
        sed -e "s|@sbindir@/attestd|$ATTEST_BUILDDIR/attestd|" \
            -e "s|@bindir@/attest|$ATTEST_BUILDDIR/attest|" \
            "$ATTEST_SRCDIR/systemd/$unit.in" >"$units/$unit"
    done
    cp "$ATTEST_SRCDIR/systemd/attestd.socket" "$units"
    printf '[Unit]\n' >"$units/sysinit.target"
    export SYSTEMD_UNIT_PATH=$units
    run systemd-analyze verify --man=no "$units"/att*.* || fail 'not clean'
    same 'words' '' "$output"
    for unit in attestd:10 attest-measure:20; do
        run systemd-analyze security --offline=yes --threshold="${unit#*:}" \
            --no-pager "$units/${unit%:*}.service" || fail "${unit%:*}.service is exposed"
    done
    for unit in "$units"/att*.*; do # what it says nothing of, it has not looked at
        printf '[Install]\nWantedFor=none\n' >>"$unit"
        run systemd-analyze verify --man=no "$units"/att*.*
        [[ $output == *"$unit:"*WantedFor* ]] || fail "$unit is not looked at"
    done
}

run_tests "$@"
