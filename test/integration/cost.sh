#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# What the module costs programs that make no TLS: no TPM, no thread, no socket,
# no word, next to no time.
# shellcheck source=lib.bash
. "${0%/*}/lib.bash"
need openssl swtpm

setup() {
    lab_up || return
    # Both roles, logs, everything; and the same without the module.
    variant client both "s|^verifier .*|&\nattester = attester_sect|" \
        's/^log_level .*/log_level = debug/' \
        "\$r $lab/server.cnf" || return
    sed -i '/^# A server/,/^log_level = warn/d' "$work/both.cnf"
    both=$work/both.cnf
    # Ready at once, in the same programs.
    sed 's/^log  *=.*/&\nmap = start/' "$both" >"$work/start.cnf"
    start=$work/start.cnf
    sed '/^attest  *=/d' "$both" >"$work/neither.cnf"
    neither=$work/neither.cnf
}

# The programs: with a configuration.
digest() {
    with "$1" openssl dgst -sha256 "$lab/ca.pem"
}

version_of_ssh() {
    with "$1" ssh -V
}

programs() {
    echo digest
    ! command -v ssh >/dev/null || echo version_of_ssh
}

test_it_is_there() {
    run openssl list -providers
    [[ $output != *attest* ]] || fail 'attest is active without being asked for'
    run with "$both" openssl list -providers
    [[ $output == *attest* ]] || fail 'attest is not active'
    run attest check --conf "$both" || fail 'the configuration is wrong'
}

test_L6_nothing_to_see() {
    local program expected
    for program in $(programs); do
        expected=$("$program" "$neither" 2>&1)
        run "$program" "$both" || fail "$program ends with an error"
        same "what $program prints" "$expected" "$output"
        run "$program" "$start" || fail "$program ends with an error, ready at once"
        same "what $program prints, ready at once" "$expected" "$output"
    done
    # Nor where there is something to say.
    sed 's|^policy .*|policy = /nonexistent|' "$start" >"$work/wrong.cnf"
    for program in $(programs); do
        run "$program" "$work/wrong.cnf" || fail "$program ends with an error, without a policy"
        same "what $program prints, without a policy" "$("$program" "$neither" 2>&1)" "$output"
    done
}

test_L6_no_tpm_no_socket_no_thread() {
    local program
    strace -o /dev/null true || skip 'strace is missing or not allowed'
    [[ ${ATTEST_SANITIZER:-no} == no ]] || skip 'a sanitizer has system calls of its own'
    for program in $(programs); do
        traced "$program" neither
        traced "$program" both
        has "$work/$program.both" '.libs/attest.so"' || fail "$program does not load attest.so"
        same "files more that $program opens" attest.so \
            "$(comm -13 "$work/$program.neither.files" "$work/$program.both.files" | tr '\n' ' ' | sed 's/ $//')"
        same "sockets and threads of $program" \
            "$(calls "$work/$program.neither")" "$(calls "$work/$program.both")"
        traced "$program" start
        has "$work/$program.start" '.libs/attest-inner.so"' || fail "$program does not load it at once"
        same "sockets and threads of $program, ready at once" \
            "$(calls "$work/$program.neither")" "$(calls "$work/$program.start")"
    done
}

# traced PROGRAM neither|both|start
traced() {
    local conf=$2
    # Not through with(), which starts env: the same all the same.
    case $1 in
    digest) set -- "$1" openssl dgst -sha256 "$lab/ca.pem" ;;
    version_of_ssh) set -- "$1" ssh -V ;;
    esac
    OPENSSL_CONF=${!conf} strace -f -o "$work/$1.$conf" "${@:2}"
    sed -n 's/.*openat(AT_FDCWD, "\([^"]*\)".* = [0-9]*$/\1/p' "$work/$1.$conf" |
        grep -v '\.cnf$' | sed 's|.*/||' | sort -u >"$work/$1.$conf.files"
}

calls() {
    grep -oE '(socket|connect|clone3?|fork|vfork)\(' "$1" | sort | uniq -c | tr '\n' ';'
}

# Processor time of ten runs, in microseconds each. Not what the clock says: on a
# busy machine that measures the others.
runs() {
    local program=$1 conf=$2 i TIMEFORMAT='%3U %3S'
    {
        time for ((i = 0; i < 10; i++)); do
            "$program" "$conf" >/dev/null 2>&1
        done
    } 2>&1 | awk '{ print ($1 + $2) * 100000 }'
}

# The median of the differences of pairs.
difference() {
    local program=$1 i without with
    for ((i = 0; i < 15; i++)); do
        without=$(runs "$program" "$neither")
        with=$(runs "$program" "$both")
        echo $((with - without))
    done | sort -n | sed -n '8p'
}

test_half_a_millisecond_at_most() {
    local program try took
    [[ ${ATTEST_SANITIZER:-no} == no ]] || skip 'a sanitizer takes its time'
    for program in $(programs); do
        "$program" "$both" >/dev/null 2>&1 # into the page cache
        for try in {1..7}; do
            took=$(difference "$program")
            note "$program: attest.so adds $took us (try $try)"
            ((took > 500)) || continue 2
        done
        fail "$program: attest.so adds $took us, more than 500"
    done
}

run_tests "$@"
