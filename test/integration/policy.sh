#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Policy files that are wrong, as a user of curl meets them: every handshake is
# refused, with file, line and key. What is in force is strict.
# shellcheck source=lib.bash
. "${0%/*}/lib.bash"
need curl openssl swtpm

setup() {
    lab_up || return
    serve attested "$lab/server.cnf"
    attested_port=$port
    issue other 'DNS:other.test' || return
    serve other /dev/null -cert "$work/other.pem" -key "$work/other.key"
    other_port=$port
}

home() {
    fetch "$1" "https://localhost:$attested_port/page"
}

# A server of which the lab's policy says nothing.
elsewhere() {
    fetch "$1" "https://other.test:$other_port/page" --connect-to "::127.0.0.1:$other_port"
}

# invalid NAME REASON SED-COMMAND...: a policy that is wrong anywhere is wrong as
# a whole. Programs and the command say the same of it.
invalid() {
    local name=$1 reason=$2
    shift 2
    policy_variant "$name" "$@"
    reason="/$name.policy.cnf$reason"
    refuses "$name" "$reason" home "$work/$name.cnf"
    check_says 2 "$reason" --conf "$work/$name.cnf"
}

test_P1_uncovered_peers_are_refused_as_well() {
    unattested 'other server' elsewhere /dev/null
    accepts 'other server, valid policy' elsewhere "$lab/client.cnf"
    policy_variant broken 's/^mode .*/mode = maybe/'
    refuses 'other server' 'broken.policy.cnf:8: mode: ' elsewhere "$work/broken.cnf"
    refuses 'other server, s_client' 'broken.policy.cnf:8: mode: ' \
        ask "$work/broken.cnf" "$other_port" -servername other.test
    # Said once in the log too.
    variant client logged "s|^policy = .*|policy = $work/broken.policy.cnf|" \
        "s|^log .*|log = $work/attest.out|"
    refuses 'other server' 'broken.policy.cnf:8: mode: ' elsewhere "$work/logged.cnf"
    says "$work/attest.out" 'error: every handshake is refused: '
    says "$work/attest.out" '/broken.policy.cnf:8: mode: '
}

test_P1_missing() {
    variant client missing "s|^policy = .*|policy = $work/nothing.policy.cnf|"
    refuses 'no file' "/nothing.policy.cnf: cannot be opened: No such file or directory" \
        home "$work/missing.cnf"
    mkdir "$work/folder"
    variant client folder "s|^policy = .*|policy = $work/folder|"
    refuses 'a folder' "/folder: is not a regular file" home "$work/folder.cnf"
    variant client fifo "s|^policy = .*|policy = $work/fifo|"
    mkfifo "$work/fifo"
    refuses 'a fifo' "/fifo: is not a regular file" home "$work/fifo.cnf"
}

test_P1_unreadable() {
    policy_variant secret '$a# for few'
    policy_variant readable '$a# for all'
    chmod 0 "$work/secret.policy.cnf"
    as_nobody
    # The control too: it is the file that nobody may read.
    control() {
        home "$work/readable.cnf"
    }
    refuses 'mode 0' '/secret.policy.cnf: cannot be opened: Permission denied' \
        home "$work/secret.cnf"
}

# A path that is too long for one line must not look like another one.
test_P1_long_path() {
    local folder a b
    a=$(printf 'a%.0s' {1..60})
    b=${a//a/b}
    folder=$work/$a/$b
    mkdir -p "$folder"
    policy_variant here 's/^mode .*/mode = maybe/'
    mv "$work/here.policy.cnf" "$folder/policy.cnf"
    variant client long "s|^policy = .*|policy = $folder/policy.cnf|"
    # Of the path the file's name is enough for the program; the log has more.
    refuses 'long path' 'attest::policy.cnf:8: mode: ' home "$work/long.cnf"
}

test_P1_malformed() {
    invalid no-equals ":8: expected 'key = value', '[section]', '.include FILE' or a comment" \
        's/^mode .*/mode require/'
    invalid no-bracket ':6: ' 's/^\[lab\]/[lab/'
    invalid control-character ':8: control character 0x0d' 's/^mode .*/&\r/'
    invalid open-quote ':8: mode: the quote " is not closed on its line' 's/^mode .*/mode = "require/'
    invalid no-policy-section ':' '/^\[policy\]/,/^$/d'
}

test_P1_trust() {
    invalid no-trust ':6: trust: missing in [lab]' '/^trust /d'
    invalid missing-trust ':9: trust: ' 's|^trust .*|trust = nothing.pem|'
    invalid no-certificate ':9: trust: ' "s|^trust .*|trust = $lab/policy.cnf|"
    invalid no-ca ':9: trust: ' "s|^trust .*|trust = $lab/ak-chain.pem|"
}

test_P2_unknown_and_repeated_keys() {
    invalid unknown ':8: modus: ' 's/^mode /modus /'
    invalid case ':8: Mode: ' 's/^mode /Mode /'
    invalid unknown-in-policy ':3: otherwize: ' 's/^otherwise/otherwize/'
    invalid twice ':9: mode: set in line 8 of ' 's/^mode .*/&\n&/'
    invalid pcr-twice ':12: pcr.0: set in line 11 of ' 's/^pcr.0 .*/&\n&/'
    invalid section-twice ':20: [lab] began in line 6 of ' '$a[lab]'
    invalid no-such-section ':2: servers: there is no section [lba]; add it or take it out of the list' 's/^servers .*/servers = lba/'
    invalid unlisted ':20: [spare] is in no list of [policy]' \
        '$a[spare]\nmode = off\nnames = spare.test'
}

test_P4_strict_spelling() {
    local word
    for word in Require REQUIRE required on true yes 1 'require off'; do
        invalid "mode-${word// /-}" ':8: mode: ' "s/^mode .*/mode = $word/"
    done
    for word in Off no false none; do
        invalid "otherwise-$word" ':3: otherwise: ' "s/^otherwise .*/otherwise = $word/"
    done
    invalid nameless ':4: nameless: expected refuse, off or the name of a section' \
        's/^nameless .*/nameless = Off/'
    invalid no-otherwise ':1: otherwise: missing in [policy]' '/^otherwise/d'
    invalid no-nameless ':1: nameless: missing in [policy]' '/^nameless/d'
    invalid no-mode ':6: mode: missing in [lab]' '/^mode /d'
}

test_P1_bad_values() {
    invalid number ':20: resumption: expected seconds, 0 to ' '$aresumption = -1'
    invalid not-yet ':20: resumption: resumption of sessions is not supported yet' '$aresumption = 60'
    invalid measure-pcr ':20: measure_pcr: ' '$ameasure_pcr = 16'
    invalid pcr-24 ':20: pcr.24: no such PCR' '$apcr.24 = 00'
    invalid pcr-16 ':20: pcr.16: ' "\$apcr.16 = $(printf '00%.0s' {1..32})"
    invalid pcr-short ':11: pcr.0: ' 's/^\(pcr.0 .*\)..$/\1/'
    invalid pcr-letters ':11: pcr.0: ' 's/^\(pcr.0 .*\)..$/\1xy/'
    invalid time ':20: expires: ' '$aexpires = tomorrow'
    invalid variable ":10: machines: '\$' in a value" 's/^machines .*/machines = $HOME/'
}

test_P6_empty_lists_allow_nothing() {
    local key line
    while read -r key line; do
        invalid "empty-$key" ":$line: $key: nothing behind it" "s/^$key .*/$key =/"
        invalid "quoted-$key" ":$line: $key: " "s/^$key .*/$key = \"\"/"
        invalid "comma-$key" ":$line: $key: empty entry in the list" \
            "s/^$key *= \(.*\)/$key = \1,/"
    done <<END
names 7
machines 10
pcr.0 11
component.server-code 19
END
    invalid no-servers ':2: servers: ' 's/^servers .*/servers =/'
    invalid nothing-required '' '/^pcr/d' '/^component/d'
}

test_P8_curl_by_address_shows_no_name() {
    local url="https://127.0.0.1:$attested_port/page" plain="https://127.0.0.1:$other_port/page"
    accepts 'section' fetch "$lab/client.cnf" "$url"
    refuses 'section, other server' 'sent no attestation evidence, which policy section lab requires' \
        fetch "$lab/client.cnf" "$plain" -k
    policy_variant refuse 's/^nameless .*/nameless = refuse/'
    refuses 'refuse' 'the server has no name here and policy says nameless = refuse' \
        fetch "$work/refuse.cnf" "$url"
    refuses 'refuse, IPv6' 'policy says nameless = refuse' \
        fetch "$work/refuse.cnf" "https://[::1]:$attested_port/page"
    accepts 'refuse, by name' home "$work/refuse.cnf"
    policy_variant off 's/^nameless .*/nameless = off/'
    accepts 'off' fetch "$work/off.cnf" "$plain" -k
    accepts 'off, by name' home "$work/off.cnf"
}

test_otherwise() {
    policy_variant require 's/^otherwise .*/otherwise = require/'
    accepts 'named' home "$work/require.cnf"
    refuses 'not named' 'attest::no policy section names other.test and otherwise = require' \
        elsewhere "$work/require.cnf"
    policy_variant observe 's/^otherwise .*/otherwise = observe/'
    ATTEST_REPORT=$work/observed accepts 'observed' elsewhere "$work/observe.cnf"
    says "$work/observed" ' WOULD BE REFUSED: '
    says_not "$work/observed" ' REFUSED: localhost'
}

test_P7_names() {
    local host
    for host in LOCALHOST localhost. Attested.Test one.attested.test; do
        ATTEST_REPORT=stderr accepts "$host" fetch "$lab/client.cnf" \
            "https://$host:$attested_port/page" -k --connect-to "::127.0.0.1:$attested_port"
        [[ $output == *'is trusted (policy section lab'* ]] || fail "$host is not named"
    done
    # `*` is one label; a peer that is not named is let be.
    for host in one.two.attested.test xattested.test attested.test.other; do
        ATTEST_REPORT=stderr accepts "$host" fetch "$lab/client.cnf" \
            "https://$host:$attested_port/page" -k --connect-to "::127.0.0.1:$attested_port"
        [[ $output != *'is trusted'* ]] || fail "$host is named"
    done
}

test_P9_syntax_that_openssl_takes_and_we_do_not() {
    invalid missing-include ':2: .include: ' '1a.include nothing.cnf'
    mkdir "$work/part.cnf"
    invalid unreadable-include ':2: .include: ' '1a.include part.cnf'
    invalid before-sections ':1: mode: stands in no section' '1imode = off'
    invalid continued ":3: otherwise: '\\' in a value" 's/^otherwise .*/otherwise = \\/'
    invalid semicolon ':2: expected' '1a; a comment in openssl.cnf'
    invalid pragma ':2: ' '1a.pragma = dollarid:on'
}

test_P9_include() {
    sed -n '/^pcr/p' "$lab/policy.cnf" >"$work/pcrs"
    policy_variant good "/^pcr/d" "s|^component|.include pcrs\n&|"
    accepts 'included values' home "$work/good.cnf"
    sed -i 's/^pcr.3 .*/pcr.3 = '"$(printf 'ab%.0s' {1..32})/" "$work/pcrs"
    refuses 'included values' 'PCR 3 does not match policy: expected abab' home "$work/good.cnf"
    echo 'pcr.3 = 00' >>"$work/pcrs"
    refuses 'mistake in it' "/pcrs:9: pcr.3: set in line 4 of " home "$work/good.cnf"
    policy_variant endless '1a.include endless.policy.cnf'
    refuses 'itself' 'includes itself' home "$work/endless.cnf"
}

test_P10_components() {
    policy_variant more "\$acomponent.model-weights = sha256:$(printf 'ab%.0s' {1..32})"
    refuses 'not measured' 'attest::component model-weights is missing from the measured log' \
        home "$work/more.cnf"
    policy_variant other "s/^component.*/component.server-code = sha256:$(printf 'ab%.0s' {1..32})/"
    refuses 'another one' 'component server-code does not match policy: expected sha256:abab' \
        home "$work/other.cnf"
    policy_variant fewer '/^component/d'
    refuses 'one too many' 'attest::component server-code was loaded, which the policy does not list' \
        home "$work/fewer.cnf"
    policy_variant any '$acomponents = any' '/^component/d'
    accepts 'any' home "$work/any.cnf"
}

test_P11_expired() {
    policy_variant past '$aexpires = 2026-01-01T00:00:00Z'
    refuses 'expired' 'policy section lab expired 2026-01-01' home "$work/past.cnf"
    policy_variant future '$aexpires = 2199-01-01T00:00:00Z'
    accepts 'not expired' home "$work/future.cnf"
}

# A policy is read when a program makes its context: the repair is seen.
test_P1_P3_repaired() {
    policy_variant repaired 's/^mode .*/mode = maybe/'
    refuses 'broken' ':8: mode: ' home "$work/repaired.cnf"
    sed -i 's/^mode .*/mode = require/' "$work/repaired.policy.cnf"
    accepts 'repaired' home "$work/repaired.cnf"
}

run_tests "$@"
