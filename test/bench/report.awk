# SPDX-License-Identifier: BSD-2-Clause
#
# Medians of what test/bench/run has measured, as a table or as JSON.
#   awk -v format=table|json -f report.awk MACHINE SAMPLES
# MACHINE has lines "KEY VALUE", SAMPLES lines "BLOCK CASE ROUND METRIC VALUE".
# Each case is compared with the case "plain" of its block: the median of the
# differences within rounds, not the difference of medians.

FNR == NR {
    machine[$1] = substr($0, length($1) + 2)
    keys[++key_count] = $1
    next
}
{
    value[$1, $2, $4, $3] = $5
    if ($3 > rounds[$1, $2, $4])
        rounds[$1, $2, $4] = $3
    if (!(($1, $2, $4) in seen)) {
        seen[$1, $2, $4] = 1
        series[++series_count] = $1 SUBSEP $2 SUBSEP $4
    }
}
END {
    if (format == "json")
        print_json()
    else
        print_table()
}

# Of list[1..n], which is sorted on the way.
function median(list, n,    i, j, x) {
    for (i = 2; i <= n; i++) {
        x = list[i]
        for (j = i - 1; j > 0 && list[j] > x; j--)
            list[j + 1] = list[j]
        list[j + 1] = x
    }
    return n % 2 ? list[(n + 1) / 2] : (list[n / 2] + list[n / 2 + 1]) / 2
}

function absolute(block, name, metric,    i, n, list) {
    n = rounds[block, name, metric]
    for (i = 1; i <= n; i++)
        list[i] = value[block, name, metric, i]
    return median(list, n)
}

function difference(block, name, metric,    i, n, list) {
    n = rounds[block, name, metric]
    for (i = 1; i <= n; i++)
        list[i] = value[block, name, metric, i] - value[block, "plain", metric, i]
    return median(list, n)
}

# Nothing to compare with: the TPM under a plain server.
function has_percent(block, metric) {
    return absolute(block, "plain", metric) > 0
}

function percent(block, name, metric,    i, n, list, base) {
    n = rounds[block, name, metric]
    for (i = 1; i <= n; i++) {
        base = value[block, "plain", metric, i]
        list[i] = 100 * (value[block, name, metric, i] - base) / base
    }
    return median(list, n)
}

#
# Table
#

function is_counted(metric) {
    return metric ~ /instructions$/
}

# How many digits, and in what unit, is a question of the metric.
function show(metric, x, sign) {
    if (is_counted(metric))
        return sprintf("%" sign ".3f", x / 1e6)
    return sprintf("%" sign ".0f", x)
}

function cell(block, name, metric, what) {
    if (!((block, name, metric) in rounds))
        return "-"
    if (what == "absolute")
        return show(metric, absolute(block, name, metric), "")
    if (what == "difference")
        return show(metric, difference(block, name, metric), "+")
    if (!has_percent(block, metric))
        return "-"
    return sprintf("%+.1f%%", percent(block, name, metric))
}

function row(label, block, name, what,    i) {
    printf "%-32s", label
    for (i = 1; i <= column_count; i++)
        printf "%9s", cell(block, name, columns[i], what)
    printf "\n"
}

function rows(label, block, name) {
    row(label, block, name, "absolute")
    if (name == "plain")
        return
    row("", block, name, "difference")
    row("", block, name, "percent")
}

function print_table() {
    printf "One full TLS 1.3 handshake at a time, openssl s_server over loopback, P-256 certificate\n"
    printf "%s x %s, %s, OpenSSL %s, %s\n", machine["cores"], machine["cpu"],
        machine["kernel"], machine["openssl"], machine["tpm"]
    printf "Load average %s before, %s after. Medians of %d rounds in turn, of %d handshakes each;\n",
        machine["load_before"], machine["load_after"],
        rounds["handshake", "plain", "p50_us"], machine["count"]
    printf "differences and percent are medians of the pairs with plain. p50-p99: SSL_connect() alone;\n"
    printf "wall: mean, with TCP connection and closing. Instructions: callgrind, once.\n\n"

    column_count = split("p50_us p95_us p99_us wall_us client_cpu_us server_cpu_us " \
        "tpm_cpu_us client_instructions server_instructions", columns, " ")
    printf "%-32s%36s%27s%18s\n", "", "elapsed, us", "CPU time, us", "M instructions"
    printf "%-32s%9s%9s%9s%9s%9s%9s%9s%9s%9s\n", "", "p50", "p95", "p99", "wall",
        "client", "server", "TPM", "client", "server"
    rows("plain", "handshake", "plain")
    rows("server attests, is not asked", "handshake", "server_loaded")
    rows("client verifies others only", "handshake", "client_loaded")
    rows("attested and verified", "handshake", "attested")

    printf "\nWhat loading the verifier costs a program, %d pairs\n",
        rounds["dgst", "plain", "wall_us"]
    column_count = split("wall_us cpu_us rss_kib instructions", columns, " ")
    printf "%-32s%9s%9s%9s%9s\n", "", "wall us", "CPU us", "RSS KiB", "M instr."
    rows("openssl dgst (no SSL_CTX)", "dgst", "plain")
    rows("  with attest", "dgst", "loaded")
    rows("openssl ciphers (one SSL_CTX)", "ciphers", "plain")
    rows("  with attest", "ciphers", "loaded")
}

#
# JSON
#

function quoted(text) {
    gsub(/\\/, "\\\\", text)
    gsub(/"/, "\\\"", text)
    return "\"" text "\""
}

function number_or_text(text) {
    return text ~ /^[0-9]+([.][0-9]+)?$/ ? text : quoted(text)
}

function print_result(block, name, metric) {
    printf "    {\"block\": %s, \"case\": %s, \"metric\": %s, \"runs\": %d, \"median\": %.1f",
        quoted(block), quoted(name), quoted(metric), rounds[block, name, metric],
        absolute(block, name, metric)
    if (name != "plain") {
        printf ", \"difference\": %.1f", difference(block, name, metric)
        if (has_percent(block, metric))
            printf ", \"percent\": %.2f", percent(block, name, metric)
    }
    printf "}"
}

function print_json(    i, part) {
    printf "{\n  \"machine\": {"
    for (i = 1; i <= key_count; i++)
        printf "%s\n    %s: %s", (i > 1 ? "," : ""), quoted(keys[i]), number_or_text(machine[keys[i]])
    printf "\n  },\n  \"results\": [\n"
    for (i = 1; i <= series_count; i++) {
        split(series[i], part, SUBSEP)
        print_result(part[1], part[2], part[3])
        printf "%s\n", (i < series_count ? "," : "")
    }
    printf "  ]\n}\n"
}
