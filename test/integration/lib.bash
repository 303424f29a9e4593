# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
# What the integration tests share. A test file sources this and defines
#
#   setup                    optional: what all its tests stand on
#   test_<ids>_<statement>   a test; carries ids of doc/catalogue.md
#
# and ends with run_tests, which prints TAP. Each test runs in a subshell of its
# own with `set -e`: any command that fails fails the test. What it starts with
# spawn() ends with it, by its pid. What it prints, and what its servers printed,
# is shown when it fails.
#
# Every refusal stands between two good connections, control(), so that it is
# not the lab that is broken.

set -uo pipefail
shopt -s inherit_errexit
unset CDPATH ATTEST_REPORT SSLKEYLOGFILE NO_COLOR
unset CURL_CA_BUNDLE SSL_CERT_FILE SSL_CERT_DIR REQUESTS_CA_BUNDLE
# The machine's own configuration is for none of the tests' tools.
export OPENSSL_CONF=/dev/null

: "${ATTEST_BUILDDIR:?run the tests with: make check}"
: "${ATTEST_SRCDIR:?run the tests with: make check}"

# Nothing here takes longer, on a machine with ten others at work either; with a
# sanitizer all takes about thrice as long.
seconds=60
[[ ${ATTEST_SANITIZER:-no} == no ]] || seconds=180
readonly seconds
# What a server gives to those it serves: application data.
readonly page='The page that only a trusted server may show'
readonly status_skip=77
curl_refused=35

test_file=$(realpath "$0")
# The folder of the file's things; $work: those of the test that runs.
scratch=
work=
lab=
# Of the server that control() asks; setup() sets it.
attested_port=
# What to put before programs that run as another user.
as_user=(env)
# What to put before programs that use the lab's TPM: it may live in a network of
# its own.
near_tpm=(env)
declare -A pids=()

#
# TAP
#

# Why a test failed, and its end.
fail() {
    printf 'FAILED: %s\n' "$*" >&2
    exit 1
}

# skip REASON: this test cannot run here.
skip() {
    printf '%s\n' "$*" >"$work/.skipped"
    exit "$status_skip"
}

# note TEXT: shown whether the test succeeds or not.
note() {
    printf '# %s\n' "$*" | tee -a "$work/.notes"
}

skip_all() {
    printf '1..0 # SKIP %s\n' "$*"
    exit 0
}

bail_out() {
    printf 'Bail out! %s\n' "$*"
    exit 1
}

# need PROGRAM...: the file's tests are pointless without them.
need() {
    local program
    for program; do
        command -v "$program" >/dev/null || skip_all "$program is missing"
    done
}

# The last lines of what may be long, without hexadecimal dumps.
as_diagnostics() {
    LC_ALL=C tr -d '\000\r' | LC_ALL=C grep -avE '^ *[0-9a-f]{4} - |^[A-Za-z0-9+/=]{60,}$' |
        LC_ALL=C cut -c1-300 | tail -n "$1" | sed 's/^/# /'
}

show_failure() {
    local log
    as_diagnostics 60 <"$work/.test"
    for log in "$work"/*.log "$scratch"/setup/*.log; do
        [[ -s $log ]] || continue
        printf '# --- the end of %s:\n' "${log#"$scratch"/}"
        as_diagnostics 15 <"$log"
    done
}

# The body of one test, in its subshell.
run_body() {
    pids=()
    trap stop_all EXIT
    trap 'printf "FAILED: line %s: %s\n" "${BASH_LINENO[0]:-?}" "$BASH_COMMAND" >&2' ERR
    set -eE
    "$1"
}

run_test() {
    local number=$1 name=$2 status
    work=$scratch/$number
    mkdir "$work"
    (run_body "$name") >"$work/.test" 2>&1 </dev/null
    status=$?
    name=${name#test_}
    case $status in
    0) printf 'ok %d - %s\n' "$number" "$name" ;;
    "$status_skip") printf 'ok %d - %s # SKIP %s\n' "$number" "$name" \
        "$(<"$work/.skipped")" ;;
    *)
        printf 'not ok %d - %s\n' "$number" "$name"
        show_failure
        failed=$((failed + 1))
        ;;
    esac
    [[ ! -e $work/.notes ]] || cat "$work/.notes"
    rm -rf "$work"
}

# run_tests [NAME...]: those, or all of the file in its order. The plan comes
# last: a file that dies is a file without a plan.
run_tests() {
    local -a names=("$@")
    local i failed=0
    ((${#names[@]} > 0)) || mapfile -t names < <(
        sed -n 's/^\(test_[A-Za-z0-9_]*\)() {$/\1/p' "$test_file"
    )
    begin
    for ((i = 0; i < ${#names[@]}; i++)); do
        run_test $((i + 1)) "${names[i]}"
    done
    printf '1..%d\n' "${#names[@]}"
    ((failed == 0))
}

begin() {
    scratch=$(mktemp -d "${TMPDIR:-/tmp}/attest-test.XXXXXX") || bail_out 'no scratch'
    # Servers drop rights; what they read must be within reach.
    chmod 711 "$scratch"
    export TMPDIR=$scratch/tmp
    mkdir -m 1777 "$TMPDIR"
    # What a program leaves where it runs goes with the rest.
    cd "$scratch" || exit
    trap end EXIT
    trap 'exit 129' HUP
    trap 'exit 130' INT
    trap 'exit 143' TERM
    work=$scratch/setup
    mkdir "$work" "$scratch/www" "$scratch/kept"
    printf '%s\n' "$page" >"$scratch/www/page"
    declare -F setup >/dev/null || return 0
    # In this shell: its servers and variables are for all tests.
    setup >"$work/.test" 2>&1 </dev/null || {
        show_failure
        bail_out 'setup failed'
    }
}

end() {
    stop_all
    stop_kept
    [[ ! -e $scratch/lab/.attest-lab ]] || "$ATTEST_SRCDIR/scripts/lab" down "$scratch/lab"
    rm -rf "$scratch"
}

#
# Processes
#

# spawn NAME COMMAND...: in the background, output to $work/NAME.log, pid in
# $spawned. Takes the place of this test's last one of that name. Programs that
# need input set $input.
spawn() {
    local name=$1
    shift
    [[ -z ${pids[$name]:-} ]] || stop "${pids[$name]}"
    : >"$work/$name.log"
    "$@" <"${input:-/dev/null}" >>"$work/$name.log" 2>&1 &
    spawned=$!
    pids[$name]=$spawned
}

# stop PID... Who does not go, however slow the machine is, is killed: what it has
# started is then nobody's.
stop() {
    local pid deadline=$((SECONDS + seconds))
    for pid; do
        kill "$pid" 2>/dev/null || true
    done
    for pid; do
        while kill -0 "$pid" 2>/dev/null && ((SECONDS < deadline)); do
            sleep 0.02
        done
        kill -KILL "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
}

stop_all() {
    ((${#pids[@]} == 0)) || stop "${pids[@]}"
    pids=()
}

# keep NAME PID: it ends with the file, not with the test; the last one of that
# name is meant. Its own end is nothing to tell.
keep() {
    disown "$2"
    printf '%d\n' "$2" >"$scratch/kept/$1"
    unset "pids[$1]"
}

kept() {
    cat "$scratch/kept/$1"
}

stop_kept() {
    local -a numbers
    mapfile -t numbers < <(cat "$scratch"/kept/* 2>/dev/null)
    stop "${numbers[@]}"
}

# await COMMAND...: until it succeeds.
await() {
    local deadline=$((SECONDS + seconds))
    until "$@"; do
        ((SECONDS < deadline)) || return 1
        sleep 0.02
    done
}

is_running() {
    kill -0 "$1" 2>/dev/null
}

# has FILE TEXT: a plain string, not a pattern.
has() {
    LC_ALL=C grep -aqF -e "$2" "$1" 2>/dev/null
}

# says FILE TEXT: it does, or will in a moment.
says() {
    await has "$1" "$2" || fail "${1##*/} does not say: $2"
}

says_not() {
    ! has "$1" "$2" || fail "${1##*/} says: $2"
}

# For the rest of a test, programs run without root's rights, for which no file
# is unreadable.
as_nobody() {
    chmod 711 "$work"
    ((EUID == 0)) || return 0
    as_user=(setpriv --reuid=nobody --regid=nogroup --clear-groups --)
    "${as_user[@]}" test -r "$ATTEST_BUILDDIR/.libs/attest.so" -a -r "$lab/ca.pem" ||
        skip 'nobody cannot reach the build and TMPDIR'
}

# A port nobody listens on, below the kernel's ephemeral range. Whoever takes it
# must bear that somebody else does first: for programs that cannot be told to
# take any.
free_port() {
    local port
    while :; do
        port=$((10000 + RANDOM % 22000))
        (: <>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || break
    done
    printf '%d\n' "$port"
}

#
# The lab
#

lab() {
    "${near_tpm[@]}" "$ATTEST_SRCDIR/scripts/lab" "$@"
}

# lab_up [OPTION...]: sets lab.
lab_up() {
    lab up "$@" "$scratch/lab" >/dev/null || return
    lab=$scratch/lab
}

# issue NAME SUBJECT-ALTERNATIVE-NAMES: $work/NAME.pem and .key under the lab's
# TLS CA.
issue() {
    openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 \
        -out "$work/$1.key"
    openssl req -x509 -key "$work/$1.key" -subj "/CN=$1" -days 2 \
        -CA "$lab/pki/tls-ca.pem" -CAkey "$lab/pki/tls-ca.key" \
        -addext "subjectAltName = $2" -addext 'basicConstraints = CA:FALSE' \
        -out "$work/$1.pem"
}

# variant FILE NAME SED-COMMAND...: $work/NAME.cnf, a copy of the lab's FILE.cnf
# that differs.
variant() {
    local from=$lab/$1.cnf to=$work/$2.cnf command
    local -a script=()
    shift 2
    for command; do
        script+=(-e "$command")
    done
    sed "${script[@]}" "$from" >"$to"
    ! cmp -s "$from" "$to" || fail "$from: $* changes nothing"
}

# policy_variant NAME SED-COMMAND...: $work/NAME.policy.cnf, and $work/NAME.cnf, a
# client's configuration with it.
policy_variant() {
    variant policy "$1.policy" "s|^trust .*|trust = $lab/ak-roots.pem|" "${@:2}"
    variant client "$1" "s|^policy = .*|policy = $work/$1.policy.cnf|"
}

# with CONF COMMAND...: a program under an openssl.cnf, as its user starts it.
with() {
    local conf=$1
    shift
    prepare_for "$@"
    OPENSSL_CONF=$conf "${as_user[@]}" "${sanitizer[@]}" "$@"
}

# The same for spawn(): the pid is the program's, not a shell's.
with_exec() {
    local conf=$1
    shift
    prepare_for "$@"
    OPENSSL_CONF=$conf exec "${as_user[@]}" "${sanitizer[@]}" "$@"
}

# A module that was built with a sanitizer needs its runtime in programs that
# were not. It has to be there first; but bindtextdomain() then locks up, which
# PostgreSQL calls, and p11-kit, which comes with Debian's curl and wget, and it ends
# PHP, which loads its extensions with RTLD_DEEPBIND: they get it with the module,
# without the checks of the heap. Other people's programs may leak, and delete an
# object by another type's size.
prepare_for() {
    sanitizer=(env)
    [[ ${ATTEST_SANITIZER:-no} != no ]] || return 0
    [[ $1 != timeout ]] || shift 2
    case ${1##*/} in
    curl | wget | postgres | psql | php) sanitizer+=("$asan_late") ;;
    *) sanitizer+=("$asan_options" "LD_PRELOAD=$(libasan)") ;;
    esac
}

readonly asan_options=ASAN_OPTIONS=detect_leaks=0:new_delete_type_mismatch=0:abort_on_error=1
readonly asan_late=$asan_options:verify_asan_link_order=0

libasan() {
    gcc -print-file-name=libasan.so
}

case ${ATTEST_SANITIZER:-no} in
no | *address*) ;;
*) skip_all "a module with -fsanitize=$ATTEST_SANITIZER cannot be loaded into programs without" ;;
esac

attest() {
    "${near_tpm[@]}" "$ATTEST_BUILDDIR/attest" "$@"
}

#
# Servers
#

# serve NAME CONF [OPTION...]: openssl s_server with the lab's certificate unless
# the options name one. Shows the page, unless it is to send its input. Sets port
# and spawned.
serve() {
    local name=$1 conf=$2
    shift 2
    [[ " $* " == *' -cert '* || " $* " == *' -nocert '* ]] ||
        set -- -cert "$lab/server.pem" -key "$lab/server.key" "$@"
    [[ " $* " == *' -www '* || -n ${input:-} ]] || set -- -WWW "$@"
    spawn "$name" serve_www "$conf" openssl s_server -accept 0 "$@"
    await listens "$work/$name.log" || fail "s_server $name does not start"
}

# -WWW looks for files in the current folder.
serve_www() {
    cd "$scratch/www" || exit
    with_exec "$@"
}

# Has s_server said which port it has? In a whole line. Sets port.
listens() {
    local line
    is_running "$spawned" || fail "${1##*/}: the server has ended"
    while IFS= read -r line; do
        [[ $line =~ ^ACCEPT\ .*:([0-9]+)$ ]] || continue
        port=${BASH_REMATCH[1]}
        return 0
    done <"$1"
    return 1
}

#
# Clients
#

# fetch CONF URL [OPTION...]: curl.
fetch() {
    local conf=$1 url=$2
    shift 2
    with "$conf" curl --silent --show-error --max-time "$seconds" \
        --cacert "$lab/ca.pem" "$@" "$url"
}

# ask CONF PORT [OPTION...]: openssl s_client; localhost unless the options
# connect elsewhere.
ask() {
    local conf=$1 port=$2
    shift 2
    [[ " $* " == *' -connect '* ]] || set -- -connect "127.0.0.1:$port" "$@"
    [[ " $* " == *' -noservername '* || " $* " == *' -servername '* ]] ||
        set -- -servername localhost "$@"
    printf 'GET /page HTTP/1.0\r\nHost: localhost\r\n\r\n' |
        with "$conf" timeout "$seconds" openssl s_client -CAfile "$lab/ca.pem" \
            -ign_eof "$@"
}

#
# Assertions. $output is what the last program printed, on both ways.
#

output=
controlled=

run() {
    local status=0
    printf '$ %s\n' "$*"
    "$@" >"$work/output" 2>&1 || status=$?
    output=$(LC_ALL=C tr -d '\000\r' <"$work/output")
    printf '%s\n[status %d]\n' "$output" "$status"
    return "$status"
}

# Every program in a test that shows the page is one that was let through.
accepts() {
    local what=$1
    shift
    run "$@" || fail "$what: refused"
    [[ $output == *"$page"* ]] || fail "$what: no page"
}

# unattested WHAT COMMAND...: what the same program does without the module, to
# show that it is the module that refuses.
unattested() {
    accepts "$1, without attest" "${@:2}"
}

# handshakes KIND: how many, New or Reused, in what s_client has printed.
handshakes() {
    grep -c "^$1, TLSv1" <<<"$output" || true
}

# keep_session FILE [OPTION...]: a session that a client without attest has made
# and kept, with a server that resumes.
keep_session() {
    unattested 'first connection' ask /dev/null "$attested_port" -sess_out "$1" "${@:2}"
    [[ -s $1 ]] || fail 'no session was kept'
    unattested 'resumption' ask /dev/null "$attested_port" -sess_in "$1" "${@:2}"
    same 'resumptions without attest' 1 "$(handshakes Reused)"
    # A ticket is for one use.
    unattested 'first connection' ask /dev/null "$attested_port" -sess_out "$1" "${@:2}"
}

# The connection that must work before and after each refusal.
control() {
    fetch "$lab/client.cnf" "https://localhost:$attested_port/page"
}

# refuses WHAT REASON COMMAND... What came after the last one comes before this.
refuses() {
    local what=$1 reason=$2 status=0
    shift 2
    [[ -n $controlled ]] || accepts 'control before' control
    run "$@" || status=$?
    ((status != 0)) || fail "$what: accepted"
    ((status != 124 && status != 28)) || fail "$what: hangs"
    # socat ends with -1.
    ((status < 126 || status == 255)) || fail "$what: crashed, status $status"
    [[ $output != *"$page"* ]] || fail "$what: refused, but the page got through"
    [[ $output == *"$reason"* ]] || fail "$what: refused without the reason: $reason"
    [[ $1 != fetch ]] || ((status == curl_refused)) ||
        fail "$what: curl ends with $status, not $curl_refused"
    accepts 'control after' control
    controlled=yes
}

# same WHAT EXPECTED FOUND
same() {
    [[ $2 == "$3" ]] || fail "$1: expected $2, found $3"
}

# prints TEXT, prints_not TEXT: of $output.
prints() {
    [[ $output == *"$1"* ]] || fail "does not print: $1"
}

prints_not() {
    [[ $output != *"$1"* ]] || fail "prints: $1"
}

# ends STATUS COMMAND...
ends() {
    local expected=$1 status=0
    shift
    run "$@" || status=$?
    ((status == expected)) || fail "ends with $status, not $expected"
}

# check_says STATUS TEXT OPTION...
check_says() {
    ends "$1" attest check "${@:3}"
    prints "$2"
}
