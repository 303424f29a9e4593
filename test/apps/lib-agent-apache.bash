# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
# Apache and attestd: Debian's apache2.conf and unit, children of www-data, in a
# private /tmp. The test files differ in $mpm: event, worker, prefork.

# shellcheck source=lib-agent.bash
. "${BASH_SOURCE[0]%/*}/lib-agent.bash"
need apache2 apachectl a2enmod curl openssl

service_unit=apache2
service_user=www-data
service_paths=(/etc/apache2 /var/lib/apache2 /var/log/apache2)
service_pid_file=/run/apache2/apache2.pid

setup() {
    machine_up && service_up apache "$lab/service.cnf" || return
    attested_port=$port
}

prepare_service() {
    rm -f "$own"/etc/apache2/sites-enabled/*
    "${in_unit[@]}" a2dismod --force --quiet mpm_event mpm_worker mpm_prefork &&
        "${in_unit[@]}" a2enmod --quiet "mpm_$mpm" ssl
}

write_service() {
    echo "Listen 127.0.0.1:$port" >"$own/etc/apache2/ports.conf"
    cat >"$own/etc/apache2/sites-enabled/attested.conf" <<END_OF_SITE
ServerName localhost
<VirtualHost 127.0.0.1:$port>
    DocumentRoot $scratch/www
    <Directory $scratch/www>
        Require all granted
    </Directory>
    SSLEngine on
    SSLCertificateFile $lab/server.pem
    SSLCertificateKeyFile $lab/server.key
</VirtualHost>
END_OF_SITE
}

start_service() {
    APACHE_STARTED_BY_SYSTEMD=true "${in_unit[@]}" apachectl start
}

reload_service() {
    OPENSSL_CONF=$lab/service.cnf APACHE_STARTED_BY_SYSTEMD=true "${in_unit[@]}" apachectl graceful
}

workers() {
    children "$service_pid" | tr ' ' '\n'
}

# Children come and go with the load.
lasting() {
    printf '%d\n' "$service_pid"
}

# What is in the way of an agent or a TPM is the same with each MPM: tried with event.
run_apache_tests() {
    test_file=${BASH_SOURCE[0]}
    [[ $mpm == event ]] || spared+=(test_C8_device_out_of_reach test_C4_whole_machine
        test_T5_agent_killed_under_load test_T4_silent_agent)
    run_service_tests "$@"
}
