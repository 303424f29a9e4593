#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Squid in front of a server that must prove itself (cache_peer). Its kids are
# executed with other effective ids than real ones, so OpenSSL ignores OPENSSL_CONF
# in them; without kids (-N), or by the system's openssl.cnf, it is attested.
# shellcheck source=lib-apps.bash
. "${0%/*}/lib-apps.bash"
((EUID == 0)) || skip_all 'needs root, as Squid does to have kids'
need squid curl openssl swtpm
[[ $(ldd "$(command -v squid)") == *libssl* ]] || skip_all 'squid-openssl is missing: this Squid has no OpenSSL'

# The squid that is started, and its options.
squid=(squid --foreground)

setup() {
    lab_up || return
    chmod 755 "$scratch" "$lab"
    serve attested "$lab/server.cnf" || return
    attested_port=$port
    serve plain /dev/null -cert "$lab/plain.pem" -key "$lab/plain.key" || return
    plain_port=$port
}

# squid_up NAME CONF HOST PORT [OPTION]: in front of HOST:PORT. Sets port and
# spawned.
squid_up() {
    local name=$1 peer=$3 peer_port=$4 options=${5:-}
    chmod 755 "$work"
    mkdir -p "$work/$name"
    chown proxy "$work/$name"
    up "$name" "$2" write_squid_conf "${squid[@]}" -f "$work/$name.conf" ||
        fail 'Squid does not start'
    await in_front || fail 'Squid does not answer'
}

write_squid_conf() {
    cat >"$work/$name.conf" <<END
http_port 127.0.0.1:$port accel defaultsite=localhost
cache_peer $peer parent $peer_port 0 no-query no-digest originserver tls sslcafile=$lab/ca.pem $options
http_access allow all
never_direct allow all
cache deny all
pinger_enable off
netdb_filename none
access_log none
cache_log $work/$name/cache.log
pid_filename $work/$name/pid
coredump_dir $work/$name
shutdown_lifetime 0 seconds
END
}

# Any answer of Squid's own.
in_front() {
    with /dev/null curl --silent --output /dev/null --max-time "$seconds" "http://127.0.0.1:$port/"
}

# Squid's own page says why.
through_squid() {
    with /dev/null curl --silent --show-error --fail-with-body --max-time "$seconds" \
        "http://127.0.0.1:$port/page"
}

# check_pid STATUS PID
check_pid() {
    ends "$1" attest check --pid "$2" --warn 0
}

test_C12_kids_are_not_attested_and_check_says_so() {
    local kid
    squid_up kids "$lab/client.cnf" localhost "$plain_port"
    accepts 'plain server through a kid' through_squid
    kid=$(children "$spawned")
    kid=${kid%% *}
    check_pid 2 "$spawned"
    prints "is on in process $spawned"
    prints "FAIL  loaded: process $kid ($(realpath "$(command -v squid)")) of it has OpenSSL and runs without attest.so: "
    prints "(AT_SECURE), so OpenSSL ignores OPENSSL_CONF=$lab/client.cnf. Start it with -N, without kids, or configure attest in the system's openssl.cnf"
    check_pid 2 "$kid"
    prints "(AT_SECURE): OpenSSL ignores OPENSSL_CONF=$lab/client.cnf in it. Start it with -N"
    prints "FAIL  loaded: process $kid runs without attest.so"
}

test_C12_S30_without_kids_it_is_attested() {
    local -a squid=(squid --foreground -N)
    policy_variant other-pcr 's/^pcr.7 .*/pcr.7 = '"$(printf 'ab%.0s' {1..32})/"
    squid_up bad "$lab/client.cnf" localhost "$plain_port"
    refuses 'plain server' 'attest::localhost sent no attestation evidence, which policy section lab requires' \
        through_squid
    check_pid 0 "$spawned"
    prints_not 'FAIL'
    prints_not 'without attest.so'
    squid_up other "$work/other-pcr.cnf" localhost "$attested_port"
    refuses 'other PCR' 'attest::PCR 7 does not match policy: expected abababab..., got ' through_squid
    run through_squid || true
    note "the page of Squid: $(grep -aF -m 1 'attest::' <<<"$output" | cut -c1-200)"
    squid_up good "$lab/client.cnf" localhost "$attested_port"
    accepts 'attested server' through_squid
}

# It shows a host of cache_peer, and no address.
test_P12_names() {
    local -a squid=(squid --foreground -N)
    squid_up good "$lab/client-names.cnf" localhost "$attested_port"
    accepts 'attested server by name' through_squid
    squid_up bad "$lab/client-names.cnf" localhost "$plain_port"
    refuses 'plain server by name' 'attest::localhost sent no attestation evidence' through_squid
    # It takes no address for the name of a certificate.
    local insecure=sslflags=DONT_VERIFY_PEER
    squid_up careless /dev/null 127.0.0.1 "$plain_port" "$insecure"
    unattested 'without a name' through_squid
    squid_up nameless "$lab/client-names.cnf" 127.0.0.1 "$plain_port" "$insecure"
    refuses 'without a name' 'nameless = refuse' through_squid
}

test_C12_kids_by_the_systems_file() {
    local system kid
    unshare --mount true 2>/dev/null || skip 'cannot have mounts of its own'
    [[ ${ATTEST_SANITIZER:-no} == no ]] || skip 'no sanitizer is preloaded into kids (AT_SECURE)'
    system=$(openssl version -d)
    system=$(realpath "$(cut -d'"' -f2 <<<"$system")/openssl.cnf")
    local -a squid=(env -u OPENSSL_CONF unshare --mount sh -c
        "mount --bind '$lab/client.cnf' '$system' && exec squid --foreground \"\$@\"" sh)
    squid_up system /dev/null localhost "$plain_port"
    refuses 'plain server through a kid' 'attest::localhost sent no attestation evidence' through_squid
    kid=$(children "$spawned")
    check_pid 0 "$spawned"
    prints_not 'FAIL'
    prints_not 'without attest.so'
    check_pid 0 "${kid%% *}"
    prints "(AT_SECURE): it reads the system's openssl.cnf alone"
    prints "is on in process ${kid%% *}"
}

run_tests "$@"
