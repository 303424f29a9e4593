#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# HAProxy and attestd: Debian's haproxy.cfg and unit, the worker of haproxy in the
# chroot /var/lib/haproxy, with the agent's folder in it (the drop-in) and without.
# shellcheck source=lib-agent.bash
. "${0%/*}/lib-agent.bash"
need haproxy curl openssl

service_unit=haproxy
service_user=haproxy
service_paths=(/etc/haproxy /var/lib/haproxy)
service_pid_file=/run/haproxy.pid
# The drop-in that is installed as an example.
socket_in_chroot=$(grep '^BindReadOnlyPaths=' "$ATTEST_SRCDIR/systemd/examples/haproxy.conf")

setup() {
    machine_up || return
    cat "$lab/server.pem" "$lab/server.key" >"$work/server.crt"
    certificate=$work/server.crt
    service_drop_in+=("$socket_in_chroot")
    service_up haproxy "$lab/service.cnf" || return
    attested_port=$port
}

# As systemd-tmpfiles does.
prepare_service() {
    install -d -o haproxy -g haproxy -m 2775 "$own/run/haproxy"
}

write_service() {
    cat /etc/haproxy/haproxy.cfg - >"$own/etc/haproxy/haproxy.cfg" <<END_OF_FRONTEND

global
    $global_line
frontend attested
    bind 127.0.0.1:$port ssl crt $certificate
    http-request return status 200 content-type text/plain file $scratch/www/page if { path /page }
END_OF_FRONTEND
}

start_service() {
    "${in_unit[@]}" haproxy -Ws -f /etc/haproxy/haproxy.cfg -p "$service_pid_file" \
        -S /run/haproxy-master.sock &
    await service_answers_or_ends "$!"
}

service_answers_or_ends() {
    service_answers || ! is_running "$1"
}

reload_service() {
    "${in_unit[@]}" haproxy -Ws -f /etc/haproxy/haproxy.cfg -c -q -S /run/haproxy-master.sock
    kill -USR2 "$service_pid"
    polls=0
}

# A master that is still restarting may not see the signal: say it again.
is_reloaded() {
    ! only_new_workers "$1" || return 0
    ((++polls % 500 > 0)) || kill -USR2 "$service_pid"
    return 1
}

workers() {
    children "$service_pid" | tr ' ' '\n'
}

# With the right to threads, which only a quoter inside needs. No device is in the
# chroot.
global_line=
device_denied=$device_hidden
test_C8_device_out_of_reach() {
    local global_line=insecure-fork-wanted
    device_out_of_reach
}

# Such a master ends with its worker, and systemd starts it again.
test_L3_worker_killed() {
    local restarted
    service_up killed "$lab/service.cnf"
    attested_port=$port
    proves_itself
    kill -KILL "$(workers)"
    while is_running "$service_pid"; do
        sleep 0.01
    done
    restarted=$(milliseconds)
    (service_environment "$lab/service.cnf" && start_service) >>"$own.log" 2>&1
    service_pid=$(<"$own$service_pid_file")
    pids[killed]=$service_pid
    proves_itself
    note "served $(($(milliseconds) - restarted)) ms after systemd starts it again"
}

# Without the drop-in there is no way to a new agent: what was opened before the
# chroot lasts as long as the old one, or until a reload.
test_L3_chroot_without_the_drop_in() {
    service_drop_in=(PrivateDevices=yes)
    service_up closed "$lab/service.cnf"
    attested_port=$port
    proves_itself
    out_of_reach
    kill_agent
    agent_up
    ! run control || fail 'served, without a way to the agent'
    [[ $output == *"$alert"* ]] || fail 'no clean alert'
    service_says 'BindReadOnlyPaths='
    old=$(workers)
    reload_service
    await is_reloaded "$old" || fail 'does not reload'
    proves_itself
}

run_service_tests "$@"
