# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
# What all servers with attestd are asked, confined by lib-confined.bash: proof
# without a way to the TPM, reloads, and the death or silence of agent, TPM and
# workers while clients ask all the time.

# shellcheck source=lib-confined.bash
. "${BASH_SOURCE[0]%/*}/lib-confined.bash"

# When all is well again after something died, ms.
readonly healthy_ms=5000
# On top of a deadline, beside what the machine takes for a request of any kind.
readonly slack_ms=2000

#
# Clients that ask all the time, and when each was served
#

milliseconds() {
    local now=${EPOCHREALTIME/[.,]/}
    printf '%d\n' $((now / 1000))
}

# witnesses COUNT COMMAND...: each in a file, a line a request:
# BEGAN-ms TOOK-ms served|refused WHAT-IT-SAID
witnesses() {
    local i count=$1
    shift
    rm -f "$work"/witness.*
    witness_pids=()
    for ((i = 0; i < count; i++)); do
        : >"$work/witness.$i"
        spawn "witness$i" witness "$work/witness.$i" "$@"
        witness_pids+=("$spawned")
    done
    await served_since 0 || fail 'no client is served'
}

witness() {
    local file=$1 last='' began took outcome
    shift
    trap 'last=yes' TERM
    until [[ -n $last ]]; do
        began=$(milliseconds)
        outcome=refused
        "$@" >"$file.output" 2>&1 && has "$file.output" "$page" && outcome=served
        took=$(($(milliseconds) - began))
        printf '%d %d %s %s\n' "$began" "$took" "$outcome" "$(tr -d '\000\r' <"$file.output" | tr '\n' ' ')" >>"$file"
    done
}

# what_happened SINCE-ms OUTCOME: the lines of requests begun since then.
what_happened() {
    awk -v since="$1" -v outcome="$2" '$1 >= since && $3 == outcome' "$work"/witness.[0-9]
}

served_since() {
    [[ -n $(what_happened "$1" served) ]]
}

refused_since() {
    (($(what_happened "$1" refused | wc -l) >= $2))
}

witnesses_end() {
    stop "${witness_pids[@]}"
    cat "$work"/witness.[0-9] | sort -n >"$work/witnessed.log"
}

# Has every client been served what it asked last, which it did since SINCE-ms, and
# been refused nothing that was asked within a second?
is_calm() {
    local file last a_second_ago
    a_second_ago=$(($(milliseconds) - 1000))
    ((a_second_ago >= $1)) && ! refused_since "$a_second_ago" 1 || return
    for file in "$work"/witness.[0-9]; do
        last=$(tail -n 1 "$file")
        [[ $last =~ ^([0-9]+)\ [0-9]+\ served\  ]] && ((BASH_REMATCH[1] >= $1)) || return
    done
}

# outage WHAT BEGAN BACK REASONS: who was refused was refused in good order (for
# one of REASONS, an extended regular expression), meanwhile only, and nobody waited
# for longer than the deadline.
outage() {
    local what=$1 began=$2 back=$3 reasons=$4 recovery slowest usual
    await is_calm "$back" || fail "$what: not all are served again"
    witnesses_end
    slowest=$(sort -k 2n "$work/witnessed.log" | tail -n 1 | cut -d ' ' -f 2)
    usual=$(awk -v began="$began" '$1 + $2 < began && $2 > most { most = $2 }
                                   END { print most + 0 }' "$work/witnessed.log")
    ((slowest <= deadline_ms + slack_ms + usual)) ||
        fail "$what: one took $slowest ms, where others took $usual ms before"
    ! awk '$3 == "refused"' "$work/witnessed.log" | grep -Ev "$reasons" ||
        fail "$what: refused for another reason"
    ! awk -v began="$began" '$3 == "refused" && $1 + $2 < began' "$work/witnessed.log" | grep . ||
        fail "$what: refused before it"
    recovery=$(awk -v back="$back" '$3 == "refused" && $1 + $2 - back > last { last = $1 + $2 - back }
                                    END { print last + 0 }' "$work/witnessed.log")
    ((recovery < healthy_ms)) || fail "$what: refused $recovery ms after all was back"
    note "$what: $(refusals) of $(wc -l <"$work/witnessed.log")" \
        "refused, the last $recovery ms after all was back; the slowest took $slowest ms"
}

refusals() {
    awk '$3 == "refused"' "$work/witnessed.log" | wc -l
}

#
# The tests that all have. A test file's own of the same name takes its place.
#

# Refused like a server's own failure: its reasons are for its own log.
readonly alert='alert internal error'
# Certificates beside the lab's own that the test's server has.
measured=()

test_B4_L3_workers_prove_themselves_and_have_no_TPM() {
    proves_itself
    out_of_reach
}

test_E14_other_policy_is_refused() {
    policy_variant other-pcr 's/^pcr.7 .*/pcr.7 = '"$(printf 'ab%.0s' {1..32})/"
    refuses 'other PCR' 'PCR 7 does not match policy: expected abab' \
        page_from "$work/other-pcr.cnf" "$attested_port"
}

# A quoter inside has to open the TPM: what keeps it from that is named, while
# those with an agent are served beside it.
test_C8_device_out_of_reach() {
    device_out_of_reach
}

device_out_of_reach() {
    local drop_in expected
    sed 's|^quoter .*|quoter = tcti:device:/dev/tpmrm0|' "$lab/server.cnf" >"$work/inside.cnf"
    for drop_in in '' PrivateDevices=yes; do
        expected=$device_hidden
        [[ -n $drop_in ]] || expected=$device_denied
        service_drop_in=(${drop_in:+"$drop_in"})
        service_up "inside$drop_in" "$work/inside.cnf"
        unattested 'quoter inside' page_from /dev/null "$port"
        refuses 'quoter inside' "$alert" page_from "$lab/client.cnf" "$port"
        service_says '/dev/tpmrm0'
        service_says "$expected"
    done
}

device_denied='Permission denied'
device_hidden='No such file or directory'

# What an administrator may add with a drop-in.
test_C8_hardened_unit() {
    local path
    local -a settings=(NoNewPrivileges=yes ProtectSystem=strict ProtectHome=yes PrivateTmp=yes)
    for path in /run "${service_paths[@]}" "${service_new_paths[@]}"; do
        settings+=("ReadWritePaths=$path")
    done
    service_up hardened "$lab/service.cnf" "${settings[@]}"
    attested_port=$port
    proves_itself
    out_of_reach
    ! "${in_unit[@]}" touch /usr/written 2>/dev/null || fail 'not hardened'
}

# In the machine's own openssl.cnf, without Environment= in the unit.
test_C4_whole_machine() {
    service_up machine machine
    attested_port=$port
    proves_itself
}

test_L13_reloads() {
    local i old before after agent_before count=$((${repeats:-15} + 5))
    keep_asking control
    for ((i = 0; i < count; i++)); do
        ((i != 5)) || {
            before=$(footprint "$service_pid")
            agent_before=$(footprint "$(kept agent)")
        }
        old=$(workers)
        reload_service
        await is_reloaded "$old" || fail 'does not reload'
    done
    after=$(footprint "$service_pid")
    all_served
    note "$((count - 5)) reloads: ${before% *} kB and ${before#* } descriptors before," \
        "${after% *} kB and ${after#* } after; attestd $agent_before, $(footprint "$(kept agent)")"
    same 'descriptors' "${before#* }" "${after#* }"
    ((${after% *} - ${before% *} < flat_kb)) || fail 'memory grows'
    await agent_has_shrunk_to "$agent_before" || fail "attestd grows: $(footprint "$(kept agent)")"
    proves_itself
}

# So much may what a C library keeps of freed memory vary, however many reloads. A
# sanitizer keeps more.
flat_kb=1024
[[ ${ATTEST_SANITIZER:-no} == no ]] || flat_kb=$((256 * 1024))

# footprint PID: kilobytes and descriptors.
footprint() {
    printf '%d %d\n' "$(awk '$1 == "VmRSS:" { print $2 }' "/proc/$1/status")" \
        "$(find "/proc/$1/fd" -type l | wc -l)"
}

# agent_has_shrunk_to FOOTPRINT: once those who asked have gone.
agent_has_shrunk_to() {
    local now
    now=$(footprint "$(kept agent)")
    ((${now#* } <= ${1#* } && ${now% *} - ${1% *} < flat_kb))
}

is_reloaded() {
    only_new_workers "$1"
}

# only_new_workers OLD: is there somebody, and nobody of those?
only_new_workers() {
    local pid now
    now=$(workers)
    for pid in $now; do
        [[ " ${1//$'\n'/ } " != *" $pid "* ]] || return 1
    done
    [[ -n $now ]]
}

# Connections that it had are lost with it, but whoever comes next is served.
test_L3_worker_killed() {
    local began pid round
    for ((round = 0; round < ${repeats:-2}; round++)); do
        [[ -z $(declare -F connect_client) ]] || connect_client
        witnesses 2 control
        began=$(milliseconds)
        pid=$(workers)
        pid=${pid%%$'\n'*}
        kill -KILL "$pid"
        outage 'worker killed' "$began" "$began" "$lost"
        [[ $'\n'$(workers)$'\n' != *$'\n'$pid$'\n'* ]] || fail 'the worker lives'
    done
    proves_itself
    out_of_reach
}
# What clients say whose server has gone.
# In libpq's, curl's and the kernel's words.
lost='Connection reset|unexpected eof|SSL_ERROR_SYSCALL|Empty reply|Connection refused|Broken pipe|Transport endpoint is not connected'

test_T5_agent_killed_under_load() {
    local began back before round
    before=$(lasting)
    for ((round = 0; round < ${repeats:-2}; round++)); do
        witnesses 3 control
        sleep "0.$((RANDOM % 10))"
        began=$(milliseconds)
        kill_agent
        await refused_since "$began" 6 || fail 'served without an agent'
        back=$(milliseconds)
        agent_up
        outage 'agent killed' "$began" "$back" "$alert"
    done
    service_says "$agent_socket"
    same 'processes' "$before" "$(lasting)"
    nobody_crashed
    proves_itself
}

# Where systemd has the socket, only those are refused whom it was about to answer:
# who comes later waits in the socket, for as long as an agent takes to start.
test_T5_activated_agent_killed_under_load() {
    local began back round kills=${repeats:-3} clients=3 deadline_ms=20000
    activated_agent_up
    sed "s|^timeout .*|timeout = $deadline_ms|" "$lab/service.cnf" >"$work/patient.cnf"
    service_up patient "$work/patient.cnf"
    attested_port=$port
    proves_itself
    witnesses "$clients" control
    began=$(milliseconds)
    for ((round = 0; round < kills; round++)); do
        sleep "0.$((RANDOM % 10))"
        await agent_is_there
        kill -KILL "$(children "$(kept agent)" | tr -d ' ')"
        sleep 0.5
    done
    back=$(milliseconds)
    outage 'activated agent killed' "$began" "$back" "$alert"
    (($(refusals) <= kills * clients)) || fail 'more are refused'
    agent_up
    proves_itself
}

# There to be killed: not its shell, nor about to be started.
agent_is_there() {
    local pid
    pid=$(children "$(kept agent)")
    [[ -n $pid && $(tr '\0' ' ' <"/proc/${pid% }/cmdline") == *'attestd --config'* &&
        $(readlink "/proc/${pid% }/exe") == */attestd ]]
}

# What does not change unless something dies.
lasting() {
    workers
}

# In the words of nginx, Apache and PostgreSQL, and of HAProxy: whoever was killed
# by a test was so by signal 9.
nobody_crashed() {
    ! LC_ALL=C grep -aE 'signal .*\b(4|6|7|8|11)\b|exited with code 13[2-689]|makes no sense' \
        "$own"/var/log/*/*.log "$own.log" || fail 'somebody crashed'
}

# What comes back is a machine that has not booted yet: nothing that it says is
# believed before it has.
test_T5_T6_tpm_killed_under_load() {
    local began back before round
    before=$(lasting)
    for ((round = 0; round < ${repeats:-1}; round++)); do
        witnesses 3 control
        sleep "0.$((RANDOM % 10))"
        began=$(milliseconds)
        kill_tpm
        await refused_since "$began" 6 || fail 'served without a TPM'
        start_tpm
        ! run control || fail 'accepted, and has not booted'
        boot
        ! run control || fail 'accepted, and has measured nothing'
        measure_all "${measured[@]}"
        back=$(milliseconds)
        outage 'TPM killed' "$began" "$back" \
            "$alert|not in the measured log|does not replay|does not match policy|are all zero"
    done
    same 'processes' "$before" "$(lasting)"
    nobody_crashed
    proves_itself
}

test_T4_silent_agent() {
    silent 'agent stopped' "$(kept agent)"
}

test_T4_silent_tpm() {
    silent 'TPM stopped' "$(tpm_pid)"
}

# silent WHAT PID: who does not answer is waited for until the deadline. One client
# after the other: a worker that waits serves nobody else.
silent() {
    local began back took
    witnesses 1 control
    kill -STOP "$2"
    began=$(milliseconds)
    await refused_since "$began" 3 || true
    kill -CONT "$2"
    back=$(milliseconds)
    refused_since "$began" 3 || fail "$1: served"
    took=$(what_happened "$began" refused | sort -k 2n | head -n 1 | cut -d ' ' -f 2)
    ((took >= deadline_ms)) || fail "$1: refused after $took ms, before the deadline"
    outage "$1" "$began" "$back" "$alert"
    proves_itself
}

# Left out where there is no time. A server sees no more of these than that its agent has
# no quote: nginx tries them.
spared=(test_T5_activated_agent_killed_under_load test_T5_T6_tpm_killed_under_load
    test_T4_silent_tpm)

# run_service_tests [NAME...]: those, or the ones above and then the file's own.
run_service_tests() {
    local -a names=("$@")
    [[ -z $repeats ]] || spared=()
    [[ -r /lib/systemd/system/$service_unit.service ]] ||
        skip_all "Debian's unit of $service_unit is missing"
    ((${#names[@]} > 0)) || mapfile -t names < <(
        sed -n 's/^\(test_[A-Za-z0-9_]*\)() {$/\1/p' "${BASH_SOURCE[0]}" "$test_file" |
            grep -vxF -f <(printf '%s\n' "${spared[@]}" none) | awk '!seen[$0]++'
    )
    run_tests "${names[@]}"
}
