#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# What a missing module does. OpenSSL runs on without a provider that it cannot
# load: in the normal form programs go on unattested, which `attest check` and a
# peer that requires attestation notice; in the strict form nothing works.
# shellcheck source=lib.bash
. "${0%/*}/lib.bash"
need curl openssl swtpm

setup() {
    lab_up || return
    serve attested "$lab/server.cnf"
    attested_port=$port
    serve plain /dev/null -cert "$lab/plain.pem" -key "$lab/plain.key"
    plain_port=$port
    # A copy of the module, to break.
    modules=$work/modules
    module_install
    strict=$work/strict.cnf
    sed -e "s|^module .*|module = $modules/attest.so|" \
        -e "s|^policy .*|policy = $lab/policy.cnf|" -e 's|^log .*|log = stderr|' \
        -e 's|^log_level .*|log_level = error|' \
        "$ATTEST_SRCDIR/openssl-strict.cnf.example" >"$strict"
    variant client normal "s|^module .*|module = $modules/attest.so|" || return
    normal=$work/normal.cnf
}

# Never over a file that a program may have mapped.
module_install() {
    rm -rf "$modules"
    mkdir "$modules"
    cp "$ATTEST_BUILDDIR/.libs/attest.so" "$ATTEST_BUILDDIR/.libs/attest-inner.so" "$modules"
}

home() {
    fetch "$1" "https://localhost:$attested_port/page"
}

by_python() {
    with "$1" python3 - "$lab/ca.pem" "$2" <<'END'
import ssl, sys, urllib.request
context = ssl.create_default_context(cafile=sys.argv[1])
print(urllib.request.urlopen(sys.argv[2], context=context, timeout=20).read().decode())
END
}

has_python() {
    python3 -c 'import ssl, urllib.request' 2>/dev/null
}

# everything_refused WHAT CONF CURL-SAYS S_CLIENT-SAYS PYTHON-SAYS: also servers
# that no policy names, and old versions of TLS.
everything_refused() {
    local what=$1 conf=$2
    refuses "$what, curl" "$3" home "$conf"
    refuses "$what, curl -k, plain server" "$3" \
        fetch "$conf" "https://localhost:$plain_port/page" -k
    refuses "$what, s_client" "$4" ask "$conf" "$attested_port"
    refuses "$what, s_client, TLS 1.2" "$4" ask "$conf" "$plain_port" -tls1_2
    refuses "$what, s_client, no name" "$4" ask "$conf" "$plain_port" -noservername
    ! has_python || refuses "$what, Python" "$5" \
        by_python "$conf" "https://localhost:$attested_port/page"
}

test_C1_strict_form_works_with_the_module() {
    module_install
    accepts 'curl' home "$strict"
    accepts 's_client' ask "$strict" "$attested_port"
    ! has_python || accepts 'Python' by_python "$strict" "https://localhost:$attested_port/page"
    refuses 'plain server' 'sent no attestation evidence' \
        fetch "$strict" "https://localhost:$plain_port/page"
    check_says 0 'strict form: programs work only with the module' --conf "$strict"
}

# strict_form_refuses WHAT
strict_form_refuses() {
    everything_refused "$1" "$strict" curl: 'library has no ciphers' \
        LIBRARY_HAS_NO_CIPHERS
}

test_C1_strict_form_without_the_module() {
    module_install
    mv "$modules/attest.so" "$modules/renamed.so"
    strict_form_refuses 'renamed'
    check_says 2 'attest.so (as configured): No such file or directory' --conf "$strict"
    echo 'Not an object' >"$modules/attest.so"
    strict_form_refuses 'no object'
    check_says 2 "attest.so: file too short" --conf "$strict"
    cp "$ATTEST_BUILDDIR/relay" "$modules/attest.so"
    strict_form_refuses 'something else'
    check_says 2 'attest.so' --conf "$strict"
    module_install
    accepts 'with the module' home "$strict"
}

# An installation that ran out of disk: loading it kills a program.
test_C1_check_says_that_the_module_is_cut_off() {
    module_install
    head -c 20000 "$ATTEST_BUILDDIR/.libs/attest.so" >"$modules/attest.so"
    export ASAN_OPTIONS=handle_sigbus=0 # it is the crash that is looked for
    check_says 2 'module: ' --conf "$strict"
    check_says 2 'module: ' --conf "$normal"
}

# What doc/SECURITY.md says of it.
test_C1_normal_form_without_the_module() {
    module_install
    mv "$modules/attest.so" "$modules/renamed.so"
    accepts 'unattested' home "$normal"
    accepts 'unattested' fetch "$normal" "https://localhost:$plain_port/page"
    check_says 2 'OpenSSL runs programs without it' --conf "$normal"
    module_install
    refuses 'plain server, with the module' 'sent no attestation evidence' \
        fetch "$normal" "https://localhost:$plain_port/page"
    check_says 0 'module: ' --conf "$normal"
}

# A server whose module is gone proves nothing: clients that require it refuse.
test_C1_server_without_the_module() {
    variant server bare 's|^module .*|module = /nonexistent/attest.so|'
    serve bare "$work/bare.cnf"
    unattested 'client without attest' fetch /dev/null "https://localhost:$port/page"
    refuses 'client' 'localhost sent no attestation evidence, which policy section lab requires' \
        fetch "$lab/client.cnf" "https://localhost:$port/page"
}

# inner_refuses WHAT REASON CONF
inner_refuses() {
    local curl_refused=27 # it has no context: CURLE_OUT_OF_MEMORY
    everything_refused "$1" "$3" "attest::$2" "$2" "$2"
}

test_C1_the_second_part_is_missing_or_broken() {
    module_install
    mv "$modules/attest-inner.so" "$modules/renamed.so"
    inner_refuses 'renamed' "cannot load attest's second part: " "$normal"
    check_says 2 'attest-inner.so (beside attest.so): No such file or directory' --conf "$normal"
    echo 'Not an object' >"$modules/attest-inner.so"
    refuses 'no object' "cannot load attest's second part: " home "$normal"
    refuses 'no object, strict form' "cannot load attest's second part: " home "$strict"
    cp "$ATTEST_BUILDDIR/.libs/attest.so" "$modules/attest-inner.so"
    refuses 'the first part twice' 'is of another version than attest.so' home "$normal"
    module_install
    accepts 'with both' home "$normal"
}

# As in a container that has the modules and not the libraries they need: the one
# that is missing is named, in the brief form as well.
test_C1_a_library_is_missing() {
    local name wrong
    for name in $(needed_by "$ATTEST_BUILDDIR/.libs/attest-inner.so"); do
        module_install
        wrong=${name:0:6}__${name:8}
        LC_ALL=C sed "s/\x00${name//./\\.}\x00/\x00$wrong\x00/" \
            "$ATTEST_BUILDDIR/.libs/attest-inner.so" >"$modules/attest-inner.so"
        inner_refuses "no $name" "cannot load attest's second part: $wrong: No such file" "$normal"
        check_says 2 "$wrong: cannot open shared object file" --conf "$normal"
        refuses "no $name, strict form" "$wrong: No such file or directory; install it where this program runs, in its container too, or reinstall attest" \
            home "$strict"
    done
}

# Of attest's own, not of the system: without them the programs would not run.
needed_by() {
    LC_ALL=C tr '\000' '\n' <"$1" | grep -E '^lib(tss2|cbor|jansson)[a-z0-9-]*\.so\.[0-9.]+$' | sort -u
}

# A server may not even start; whatever it does, it says why.
test_C1_server_without_the_second_part() {
    module_install
    rm "$modules/attest-inner.so"
    variant server half "s|^module .*|module = $modules/attest.so|"
    spawn half serve_www "$work/half.cnf" openssl s_server -accept 0 -WWW \
        -cert "$lab/server.pem" -key "$lab/server.key"
    await starts_or_ends "$work/half.log" || fail 'hangs'
    if is_running "$spawned"; then
        refuses 'client without attest' alert fetch /dev/null "https://localhost:$port/page"
    fi
    has "$work/half.log" "cannot load attest's second part: " || fail 'the server does not say why'
}

starts_or_ends() {
    ! is_running "$spawned" || listens "$1"
}

# As soon as one provider is named, OpenSSL no longer loads the default one by itself.
test_C2_default_provider_unnamed() {
    variant client alone '/^default *=/d'
    everything_refused 'alone' "$work/alone.cnf" curl: 'library has no ciphers' \
        LIBRARY_HAS_NO_CIPHERS
    check_says 2 'as soon as one provider is named, every program loses all algorithms of OpenSSL' \
        --conf "$work/alone.cnf"
}

run_tests "$@"
