# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
# The lab's TPM as something that dies and boots again, on top of lib.bash.

# tpm_known: how it was started, to start it so again. After lab_up.
tpm_known() {
    TPM2TOOLS_TCTI=$(<"$lab/tcti")
    export TPM2TOOLS_TCTI
    mapfile -d '' tpm_command <"/proc/$(tpm_pid)/cmdline"
}

tpm_pid() {
    cat "$lab/tpm/pid"
}

kill_tpm() {
    local pid
    pid=$(tpm_pid)
    kill -KILL "$pid"
    # No child of ours.
    while is_running "$pid"; do
        sleep 0.01
    done
}

start_tpm() {
    await "${near_tpm[@]}" "${tpm_command[@]}" || fail 'swtpm does not start again'
    await "${near_tpm[@]}" tpm2_getcap properties-fixed >"$work/properties" ||
        fail 'swtpm does not answer'
}

# As firmware does, from the log that it left.
boot() {
    local -a extends
    mapfile -t extends < <(
        tpm2_eventlog "$lab/binary_bios_measurements" 2>/dev/null |
            awk '$1 == "PCRIndex:" { pcr = $2 }
                 $1 == "EventType:" { type = $2 }
                 $1 == "Digest:" && type != "EV_NO_ACTION" {
                     gsub("\"", "", $2); print pcr ":sha256=" $2 }'
    )
    ((${#extends[@]} > 8)) || fail 'no boot log'
    "${near_tpm[@]}" tpm2_pcrextend "${extends[@]}"
}

# measure_all [PEM...]: what a lab's machine measures, and more certificates.
measure_all() {
    local pem
    rm -f "$lab/events.cel"
    measure --name server-code "$lab/component"
    for pem in "$lab/server.pem" "$@"; do
        measure --certificate "$pem"
    done
}

measure() {
    attest measure --conf "$lab/server.cnf" "$@"
}
