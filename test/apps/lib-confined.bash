# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
# Servers as Debian installs and starts them, and attestd, on top of lib-apps.bash:
#
#   the machine   its TPM is in a network namespace of its own, with attestd: only
#                 who is in there can reach its port
#   a service     has a mount namespace, in which the configuration, state and run
#                 folders of its package are private copies, and which is confined
#                 as its unit is, and by PrivateDevices=
#
# A test file sets
#
#   service_unit     name of the unit
#   service_user     who its workers are
#   service_paths    folders to have a copy of of its own, and
#   service_new_paths  of which it has one that is empty
#   service_pid_file
#   service_threads  optional: how many a worker has; a quoter inside has one more
#   service_drop_in  optional: settings beside those of the unit
#   service_program  optional: the program's name, where it is not the unit's
# and defines
#   prepare_service  optional: what is to be in $own once
#   write_service    write its configuration below $own, for $port
#   start_service    its ExecStart, with in_unit before
#   reload_service   its ExecReload
#   workers          pids of those that talk TLS
#   connect_client   optional: there are workers as long as a client is there
#   page_from        optional: how a client reads the page, if not by HTTP

# shellcheck source=lib-apps.bash
. "${BASH_SOURCE[0]%/*}/lib-apps.bash"
# shellcheck source=../integration/lib-tpm.bash
. "${BASH_SOURCE[0]%/*}/../integration/lib-tpm.bash"
# shellcheck source=lib-unit.bash
. "${BASH_SOURCE[0]%/*}/lib-unit.bash"

readonly unit_library=$ATTEST_SRCDIR/test/apps/lib-unit.bash
PATH=$PATH:/usr/sbin:/sbin
((EUID == 0)) || skip_all 'only root can make namespaces, and be www-data'
need unshare nsenter setpriv ip python3 swtpm tpm2_pcrextend tpm2_eventlog

service_new_paths=()
# The units of these releases do not have it.
service_drop_in=(PrivateDevices=yes)

# What a handshake waits for the agent, ms.
deadline_ms=1000

#
# The machine and its agent
#

machine_up() {
    spawn machine unshare --net sleep infinity || return
    keep machine "$spawned"
    await has_other_network "$spawned" || return
    near_tpm=(nsenter "--net=/proc/$spawned/ns/net" --)
    "${near_tpm[@]}" ip link set lo up && lab_up && tpm_known || return
    agent_folder=$scratch/agent
    agent_socket=/run/attest/agent.sock
    # The agent's user is none that any server has. Others come as far as its
    # socket.
    mkdir "$agent_folder" && chown daemon "$agent_folder" || return
    write_agent_conf && write_service_conf && agent_up
}

has_other_network() {
    [[ $(readlink "/proc/$1/ns/net") != "$(readlink /proc/self/ns/net)" ]]
}

write_agent_conf() {
    {
        cat <<END_OF_HEAD
[attestd]
socket      = $agent_folder/agent.sock
allow       = www-data, haproxy, postgres
log         = stderr
log_level   = info
END_OF_HEAD
        sed -n '/^\[attester_sect\]/,/^$/p' "$lab/server.cnf" |
            grep -E '^(quoter|timeout|ak|ak_chain|pcrs|boot_log|measured_log) '
    } >"$lab/attestd.cnf"
}

# The servers' openssl.cnf: a socket is all they know.
write_service_conf() {
    sed -e "s|^quoter .*|quoter    = unix:$agent_socket|" \
        -e "s|^timeout .*|timeout   = $deadline_ms|" \
        -e '/^\(ak\|ak_chain\|pcrs\|boot_log\|measured_log\) /d' \
        "$lab/server.cnf" >"$lab/service.cnf"
}

# Its rights are those of its unit, as far as setpriv(1) goes.
agent_up() {
    agent_ends
    spawn agent "${near_tpm[@]}" "${agent_rights[@]}" "$ATTEST_BUILDDIR/attestd" \
        --config "$lab/attestd.cnf"
    keep agent "$spawned"
    await agent_listens
}
agent_rights=(setpriv --reuid=daemon --regid=daemon --groups=tss --no-new-privs --bounding-set=-all --)

# The same with somebody who has its socket and starts it again, as systemd.
activated_agent_up() {
    agent_ends
    spawn agent "${near_tpm[@]}" /usr/bin/python3 "${unit_library%/*}/activate.py" \
        "$agent_folder/agent.sock" "${agent_rights[@]}" "$ATTEST_BUILDDIR/attestd" \
        --config "$lab/attestd.cnf"
    keep agent "$spawned"
    await agent_listens
}

agent_ends() {
    [[ ! -e $scratch/kept/agent ]] || stop "$(kept agent)"
}

agent_listens() {
    is_running "$(kept agent)" || fail 'attestd has ended'
    "${near_tpm[@]}" grep -qF "$agent_folder/agent.sock" /proc/net/unix
}

kill_agent() {
    kill -KILL "$(kept agent)"
    rm "$scratch/kept/agent"
}

#
# Services
#

# service_up NAME CONF [SETTING...]: the server under that openssl.cnf, or under
# the machine's own (CONF is machine), which is then the service's too, in its unit
# with further settings. Sets port, own, in_unit, service_pid.
service_up() {
    local name=$1 conf=$2 tries
    unit_up "$name" "${@:3}" || return
    [[ -z $(declare -F prepare_service) ]] || prepare_service
    prepare_for "${service_program:-$service_unit}"
    in_unit+=("${sanitizer[@]:1}")
    for ((tries = 0; tries < 10; tries++)); do
        port=$(free_port)
        write_service || return
        rm -f "$own$service_pid_file"
        if (service_environment "$conf" && start_service) >>"$work/$name.log" 2>&1 &&
            await service_answers; then
            service_pid=$(<"$own$service_pid_file")
            pids[$name]=$service_pid
            return 0
        fi
        service_said 'Address already in use' || return
    done
    return 1
}

# What Environment= of the unit would be.
service_environment() {
    if [[ $1 == machine ]]; then
        unset OPENSSL_CONF
    else
        export OPENSSL_CONF=$1
    fi
}

service_answers() {
    [[ -s $own$service_pid_file ]] && (: <>"/dev/tcp/127.0.0.1/$port") 2>/dev/null
}

# In its own logs or, of those that have none, in the journal.
service_said() {
    LC_ALL=C grep -aqF -e "$1" "$own"/var/log/*/*.log "$own.log" "$own.journal.log" 2>/dev/null
}

service_says() {
    await service_said "$1" || fail "the service does not say: $1"
}

# unit_up NAME [SETTING...]: sets own, the folder with its copies, unit_pid, which
# keeps the unit's namespace, and in_unit, what to put before its programs.
unit_up() {
    local name=$1 path
    local -a settings rights
    shift
    own=$work/$name
    mkdir -p "$own/dev" "$own/stage" "$own/run/attest" "$own/run/systemd/journal" || return
    mkdir -m 1777 "$own/run/lock" || return
    for path in /etc/ssl "${service_paths[@]}"; do
        mkdir -p "$own${path%/*}" && cp -aT "$path" "$own$path" || return
    done
    for path in "${service_new_paths[@]}"; do
        mkdir -p "$own$path" && chown --reference="$path" "$own$path" || return
    done
    # Nobody else's words, where the machine's own service has run.
    find "$own" -path '*/var/log/*' -type f -delete
    cp "$lab/service.cnf" "$own/etc/ssl/openssl.cnf" || return
    spawn "$name.journal" /usr/bin/python3 "${unit_library%/*}/journal.py" \
        "$own/run/systemd/journal/dev-log"
    await test -S "$own/run/systemd/journal/dev-log" || return
    mapfile -t settings < <(unit_settings "$service_unit")
    settings+=("${service_drop_in[@]}" "$@")
    mapfile -t rights < <(unit_rights "${settings[@]}")
    spawn "$name.unit" unshare --mount --propagation private bash -c '
        . "$0"
        machine_mounts "$1" "$2" "${@:5:$4}" && unit_mounts "$1/stage" "$3" "${@:5+$4}" &&
            echo ready && exec sleep infinity' "$unit_library" \
        "$own" "$agent_folder" "$scratch:$ATTEST_BUILDDIR:$ATTEST_SRCDIR" \
        $((2 + ${#service_paths[@]} + ${#service_new_paths[@]})) \
        /run /etc/ssl "${service_paths[@]}" "${service_new_paths[@]}" "${settings[@]}"
    await unit_is_made "$work/$name.unit.log" || return
    unit_pid=$spawned
    # With its root: these tests may run in a chroot, which nsenter would leave. In /, as
    # systemd starts it: our folder has no name there, and HAProxy 3.0 asks for it.
    in_unit=(nsenter "--target=$unit_pid" --mount --root -- setpriv "${rights[@]}" -- env --chdir=/ -u TMPDIR)
}

unit_is_made() {
    is_running "$spawned" || fail 'the unit cannot be reproduced'
    has "$1" ready || return
    # Else what follows would be done to the machine itself.
    [[ $(readlink "/proc/$spawned/ns/mnt") != "$(readlink /proc/self/ns/mnt)" ]] ||
        fail 'the unit has no mounts of its own'
}

#
# What is asked of each
#

control() {
    page_from "$lab/client.cnf" "$attested_port"
}

# page_from CONF PORT
page_from() {
    fetch "$1" "https://localhost:$2/page" --http1.1
}

# Has what serves no way to the TPM but the agent?
out_of_reach() {
    local tpm_port pid count=0
    [[ -z $(declare -F connect_client) ]] || connect_client
    tpm_port=$(<"$lab/tcti")
    tpm_port=${tpm_port##*=}
    # Who is in the machine's network can reach it, and a worker's user something
    # else, so that the question makes sense.
    "${near_tpm[@]}" bash -c ': <>"/dev/tcp/127.0.0.1/$0"' "$tpm_port"
    for pid in $(workers); do
        as_worker "$pid" bash -c ': <>"/dev/tcp/127.0.0.1/$0"' "$attested_port"
        same "user of worker $pid" "$(id -u "$service_user")" "$(stat -c %u "/proc/$pid")"
        ! as_worker "$pid" bash -c ': <>"/dev/tcp/127.0.0.1/$0"' "$tpm_port" 2>/dev/null ||
            fail 'a worker reaches the TPM'
        ! compgen -G "/proc/$pid/root/dev/tpm*" || fail 'a worker sees the TPM'
        same "threads of worker $pid" "${service_threads:-$(threads "$pid")}" "$(threads "$pid")"
        count=$((count + 1))
    done
    ((count > 0)) || fail 'no worker'
}

threads() {
    find "/proc/$1/task" -mindepth 1 -maxdepth 1 | wc -l
}

# as_worker PID COMMAND...: in its namespaces and as its user.
as_worker() {
    nsenter --target "$1" --mount --net "--root=/proc/$unit_pid/root" -- \
        setpriv --reuid="$service_user" --regid="$(id -g "$service_user")" --clear-groups \
        --no-new-privs -- "${@:2}"
}

# Accepted, with evidence that only the agent can have brought.
proves_itself() {
    ATTEST_REPORT=$work/report accepts 'attested' control
    has "$work/report" 'is trusted (policy section lab, machine machine-a.attested.test' ||
        fail 'no verdict'
    rm "$work/report"
}
