#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Dovecot with Debian's defaults: its login processes make their first SSL_CTX in a
# chroot, where nothing can be loaded any more (S33).
# shellcheck source=lib-apps.bash
. "${0%/*}/lib-apps.bash"
need curl openssl swtpm tpm2_getcap
dovecot=$(PATH=$PATH:/usr/sbin command -v dovecot) || skip_all 'dovecot is missing'
defaults=/usr/share/dovecot
[[ -f $defaults/dovecot.conf && -d $defaults/conf.d && -x /usr/lib/dovecot/imap-login ]] ||
    skip_all 'dovecot-imapd is missing'
((EUID == 0)) || skip_all 'dovecot needs root'
[[ ${ATTEST_SANITIZER:-no} == no ]] ||
    skip_all 'a sanitizer reads its options in /proc, which the login processes have not'
readonly dovecot defaults

readonly too_late='this program cannot load attest in its chroot: write map = start in openssl.cnf'

setup() {
    lab_up || return
    serve attested "$lab/server.cnf"
    attested_port=$port
    keep attested "$spawned"
    # What reads it has given up root's rights by then.
    chmod 755 "$scratch" "$work"
    socket=$scratch/agent.sock
    start_agent || return
    keep agent "$spawned"
}

# The login processes' user asks, over what was opened by root.
start_agent() {
    {
        printf '[attestd]\nsocket = %s\nallow = root dovenull\n' "$socket"
        grep -E '^(quoter|ak|ak_chain|pcrs|boot_log|measured_log) ' "$lab/server.cnf"
    } >"$work/attestd.cnf"
    spawn agent attestd_exec
    says "$work/agent.log" 'listening on'
}

attestd_exec() {
    exec "$ATTEST_BUILDDIR/attestd" --config "$work/attestd.cnf"
}

# machine MAP [SED-COMMAND...]: $work/machine.cnf, for all programs of the machine:
# proves by the agent, verifies by the lab's policy.
machine() {
    chmod 755 "$work"
    variant server machine "s|^quoter .*|quoter = unix:$socket|" \
        "s|^attester .*|&\\nverifier = verifier_sect\\nmap = $1|" \
        "\$a [verifier_sect]\\npolicy = ${policy:-$lab/policy.cnf}" "${@:2}"
}

# dovecot_up ENVIRONMENT [COMMAND...]: Debian's configuration with folders, ports and
# the certificate of its own; what its processes import beside the default.
dovecot_up() {
    environment=$1
    shift
    mkdir -p "$work/run" "$work/state"
    rm -rf "${work:?}/etc"
    mkdir "$work/etc"
    cp -r "$defaults/dovecot.conf" "$defaults/conf.d" "$work/etc"
    sed -i -e "s|/etc/dovecot/private/dovecot.pem|$lab/server.pem|" \
        -e "s|/etc/dovecot/private/dovecot.key|$lab/server.key|" "$work/etc/conf.d/10-ssl.conf"
    up dovecot "${conf:-/dev/null}" write_dovecot_conf "$@" "$dovecot" -F -c "$work/etc/dovecot.conf" ||
        fail 'dovecot does not start'
}

# With a greeting that says that it was let through.
write_dovecot_conf() {
    plain_port=$(free_port)
    cat >"$work/etc/local.conf" <<END
protocols = imap
base_dir = $work/run
state_dir = $work/state
log_path = /dev/stderr
login_greeting = $page
$(imports)
service imap-login {
  inet_listener imap {
    port = $plain_port
  }
  inet_listener imaps {
    port = $port
  }
}
END
}

# $environment, in the words of 2.3 or of later ones.
imports() {
    local name=${environment%%=*}
    if [[ $("$dovecot" --version) == 2.3.* ]]; then
        printf 'import_environment = TZ CORE_OUTOFMEM CORE_ERROR %s\n' "$environment"
    elif [[ $environment == *=* ]]; then
        printf 'import_environment {\n  %s = %s\n}\n' "$name" "${environment#*=}"
    elif [[ -n $environment ]]; then
        printf 'import_environment {\n  %s = %%{env:%s}\n}\n' "$name" "$name"
    fi
}

# imap CONF [OPTION...]: a mail client's way in, and out.
imap() {
    local conf=$1
    shift
    printf 'a LOGOUT\r\n' | with "$conf" timeout "$seconds" openssl s_client -CAfile "$lab/ca.pem" \
        -verify_return_error -servername localhost -ign_eof -connect "127.0.0.1:$port" "$@"
}

# Its greeting is from before TLS: the answer to LOGOUT shows who was let through.
starttls() {
    run imap "$1" -connect "127.0.0.1:$plain_port" -starttls imap &&
        [[ $output == *'a OK Logout completed'* ]]
}

# Dovecot ends a connection that fails without an alert.
readonly no_tls='no peer certificate available'

# All that nobody gets, whoever asks: the reason is in Dovecot's log.
serves_nobody() {
    refuses 'who asks for nothing' "$no_tls" imap /dev/null
    refuses 'who requires proof' "$no_tls" imap "$lab/client.cnf"
    ! starttls /dev/null || fail 'STARTTLS: served'
    says "$work/dovecot.log" "SSL_CTX_new() failed: error:"
    says "$work/dovecot.log" "attest::$too_late"
    says_not "$work/dovecot.log" 'reinstall attest'
}

serves_everybody() {
    accepts 'who asks for nothing' imap /dev/null
    ATTEST_REPORT=stderr accepts 'who requires proof' imap "$lab/client.cnf"
    [[ $output == *'localhost is trusted (policy section lab'* ]] || fail 'no verdict'
    starttls /dev/null || fail 'STARTTLS, who asks for nothing: refused'
    starttls "$lab/client.cnf" || fail 'STARTTLS, who requires proof: refused'
    policy_variant other-pcr 's/^pcr.7 .*/pcr.7 = '"$(printf 'ab%.0s' {1..32})/"
    refuses 'other PCR' 'PCR 7 does not match policy: expected abab' imap "$work/other-pcr.cnf"
    says_not "$work/dovecot.log" "$too_late"
}

test_S33_first_use_serves_nobody_and_says_so() {
    machine first-use
    dovecot_up "OPENSSL_CONF=$work/machine.cnf"
    serves_nobody
    # As if the key were not there.
    sed -i '/^map /d' "$work/machine.cnf"
    dovecot_up "OPENSSL_CONF=$work/machine.cnf"
    serves_nobody
}

test_S33_start_serves_everybody() {
    machine start
    dovecot_up "OPENSSL_CONF=$work/machine.cnf"
    serves_everybody
}

# Without an agent there is no proof, but TLS there is.
test_S33_start_without_an_agent() {
    machine start "s|^quoter .*|quoter = unix:$work/nobody.sock|"
    dovecot_up "OPENSSL_CONF=$work/machine.cnf"
    accepts 'who asks for nothing' imap /dev/null
    refuses 'who requires proof' "$no_tls" imap "$lab/client.cnf"
    says "$work/dovecot.log" "no agent at $work/nobody.sock"
}

# A policy that is broken refuses, there too.
test_S33_start_with_a_broken_policy() {
    policy=$work/missing machine start
    dovecot_up "OPENSSL_CONF=$work/machine.cnf"
    refuses 'who asks for nothing' "$no_tls" imap /dev/null
    says "$work/dovecot.log" 'missing: cannot be opened: No such file or directory'
}

# One process serves many, one after the other and at once.
test_S33_many_clients() {
    local i
    local -a clients=()
    machine start
    dovecot_up "OPENSSL_CONF=$work/machine.cnf"
    for ((i = 0; i < ${repeats:-12}; i++)); do
        imap "$lab/client.cnf" >"$work/client.$i" 2>&1 &
        clients+=($!)
        ((i < 4)) || wait "${clients[i - 4]}" || true
    done
    wait "${clients[@]}" || true
    same 'served' "${repeats:-12}" "$(cat "$work"/client.* | grep -c "$page")"
}

# The file of the machine itself, in Dovecot's mounts.
test_S33_the_systems_openssl_cnf() {
    local system map
    unshare --mount true 2>/dev/null || skip 'cannot have mounts of its own'
    system=$(openssl version -d)
    system=$(realpath "$(cut -d'"' -f2 <<<"$system")/openssl.cnf")
    for map in first-use start; do
        machine "$map"
        dovecot_up '' env -u OPENSSL_CONF unshare --mount sh -c \
            'mount --bind "$1" "$2" && shift 2 && exec "$@"' sh "$work/machine.cnf" "$system"
        if [[ $map == start ]]; then serves_everybody; else serves_nobody; fi
    done
}

# What a unit's Environment= sets is for the master: its processes get little of it.
test_C12_the_environment_of_the_master_is_lost() {
    machine start
    conf=$work/machine.cnf dovecot_up ''
    accepts 'who asks for nothing' imap /dev/null
    refuses 'who requires proof' 'sent no attestation evidence' imap "$lab/client.cnf"
    # The same variable, imported.
    conf=$work/machine.cnf dovecot_up OPENSSL_CONF
    serves_everybody
}

test_S33_attest_check_knows_it() {
    local login=/usr/lib/dovecot/imap-login
    machine first-use
    dovecot_up "OPENSSL_CONF=$work/machine.cnf"
    check_says 2 "FAIL  program: $login makes its first TLS context after chroot(2)" \
        --warn 0 --conf "$work/machine.cnf" --exec "$login"
    # A client that says nothing, so that there is a process.
    exec 9<>"/dev/tcp/127.0.0.1/$plain_port"
    await has_login || fail 'there is no login process'
    check_says 2 "FAIL  settings: process $login_pid is in a chroot and has made no TLS context so far" \
        --warn 0 --conf "$work/machine.cnf" --pid "$login_pid"
    [[ $output != *'after chroot(2)'* && $output != *import_environment* ]] || fail 'it is said of a process, too'
    exec 9>&-
    machine start
    # Debian's dovecot.conf has no import_environment.
    check_says 2 "ok    program: $login: map = start in $work/machine.cnf" \
        --warn 0 --conf "$work/machine.cnf" --exec "$login"
}

has_login() {
    local pid
    for pid in $(children "$spawned"); do
        [[ $(readlink "/proc/$pid/exe") == */imap-login && $(readlink "/proc/$pid/root") != / ]] || continue
        login_pid=$pid
        return 0
    done
    return 1
}

run_tests "$@"
