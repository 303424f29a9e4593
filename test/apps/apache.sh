#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Apache with mod_ssl and each of its three MPMs.
# shellcheck source=lib-apps.bash
. "${0%/*}/lib-apps.bash"
PATH=$PATH:/usr/sbin
need apache2 curl openssl swtpm
need_nobody

mpms=(event worker prefork)
modules=/usr/lib/apache2/modules

setup() {
    local mpm
    lab_up && issue_names || return
    for mpm in "${mpms[@]}"; do
        apache_up "$mpm" || return
        apaches[$mpm]=$spawned
        ports[$mpm]=$port
    done
    attested_port=${ports[event]}
}
declare -A apaches=() ports=()

# apache_up MPM [LINE...]: sets port and spawned. Apache signals its whole process
# group when it ends.
apache_up() {
    local name=$1
    local -a lines=("${@:2}")
    mkdir -p "$work/$name"
    up "$name" "$lab/server.cnf" write_apache_conf \
        setsid apache2 -f "$work/$name/httpd.conf" -D FOREGROUND
}

# Children are somebody else, as they would be: the quoter reads as nobody what
# the master has found as root.
write_apache_conf() {
    local module site folder=$work/$name
    {
        for module in "mpm_$name" authz_core mime socache_shmcb ssl; do
            echo "LoadModule ${module}_module $modules/mod_$module.so"
        done
        ((EUID != 0)) || printf '%s\n' 'User nobody' 'Group nogroup'
        cat <<END
ServerRoot $folder
ServerName localhost
DefaultRuntimeDir $folder
PidFile pid
Mutex file:$folder
ErrorLog /dev/stderr
LogLevel warn
TypesConfig /dev/null
DocumentRoot $scratch/www
SSLSessionCache shmcb:$folder/sessions
Listen 127.0.0.1:$port
KeepAliveTimeout 2
StartServers 2
CustomLog $folder/served %P
$( ((${#lines[@]} == 0)) || printf '%s\n' "${lines[@]}")
END
        for site in one two unmeasured; do
            cat <<END
<VirtualHost 127.0.0.1:$port>
    ServerName $site.attested.test
    ServerAlias $([[ $site != one ]] || echo localhost) alias.$site.attested.test
    SSLEngine on
    SSLCertificateFile $certificates/$site.pem
    SSLCertificateKeyFile $certificates/$site.key
</VirtualHost>
END
        done
    } >"$folder/httpd.conf"
}

# each COMMAND...: with the Apache of each MPM as the one that is asked.
each() {
    local mpm
    for mpm in "${mpms[@]}"; do
        printf '%s\n' "--- $mpm"
        apache_pid=${apaches[$mpm]}
        attested_port=${ports[$mpm]}
        "$@"
    done
}

test_S8_two_names_with_two_certificates() {
    each two_names_with_two_certificates
}

test_E14_other_policy_is_refused() {
    each other_policy_is_refused
}

test_S3_sessions_are_no_way_round() {
    each session_is_no_way_round
}

test_R1_many_handshakes_at_once() {
    each load 60
}

# Each child of this one serves one client, so each handshake needs a quoter of
# its own, sixteen at a time.
test_L3_forks_under_load() {
    local forks=${repeats:-200} errors=$work/prefork.log
    apache_up prefork 'MaxConnectionsPerChild 1' 'MaxRequestWorkers 32' 'MaxSpareServers 16' \
        'MinSpareServers 8' || fail 'Apache does not start'
    attested_port=$port
    load "$forks"
    same 'children that have served' "$forks" "$(sort -u "$work/prefork/served" | wc -l)"
    says_not "$errors" 'exit signal'
    says_not "$errors" 'handshake refused'
}

reload() {
    kill -USR1 "$apache_pid"
}

is_another_generation() {
    local child
    for child in $(children "$apache_pid"); do
        [[ " $1 " != *" $child "* ]] || return 1
    done
    [[ -n $(children "$apache_pid") ]]
}

graceful_restarts() {
    local i old
    keep_asking at two.attested.test "$lab/client.cnf"
    for ((i = 0; i < ${repeats:-2}; i++)); do
        old=$(children "$apache_pid")
        reload
        await is_another_generation "$old" || fail 'Apache does not restart'
        accepts 'after a restart' at one.attested.test "$lab/client.cnf"
    done
    all_served
}

# With each, Apache unloads mod_ssl and loads it again.
test_L3_graceful_restarts() {
    each graceful_restarts
}

renewed() {
    local site_one=$work/$apache_pid
    cp "$certificates/one.pem" "$site_one.pem"
    cp "$certificates/one.key" "$site_one.key"
    renewed_certificate_is_taken_up install_renewed reload
    # For the next, what there was.
    cp "$site_one.pem" "$certificates/one.pem"
    cp "$site_one.key" "$certificates/one.key"
}

test_S8_renewed_certificate() {
    each renewed
}

install_renewed() {
    cp "$work/renewed.key" "$certificates/one.key"
    cp "$work/renewed.pem" "$certificates/one.pem"
}

run_tests "$@"
