#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Bad input to every verb of the command: what is missing, empty, a folder,
# endless, a terabyte, cut off, a FIFO, forbidden or something else altogether
# gets one line that names the file, the right exit status, and no hang.
# shellcheck shell=bash source-path=SCRIPTDIR source=lib.bash
# shellcheck source=lib.bash
. "${0%/*}/lib.bash"
need curl swtpm tpm2_quote

setup() {
    lab_up || return
    serve attested "$lab/server.cnf"
    attested_port=$port
    attest show "localhost:$attested_port" --save "$work/good.json" >/dev/null || return
    evidence=$work/good.json
    policy=$lab/policy.cnf
    roots=$lab/ak-roots.pem
    boot_log=$lab/binary_bios_measurements
    # What nobody may read is readable in all other respects.
    chmod 644 "$evidence"
    chmod 711 "$work"
}

# make_bad KIND LIKE: sets bad, a file of that kind; LIKE is a good one.
make_bad() {
    bad=$work/$1
    rm -rf "$bad"
    case $1 in
    missing) ;;
    empty) : >"$bad" ;;
    folder) mkdir "$bad" ;;
    zero) bad=/dev/zero ;;
    terabyte) truncate -s 1T "$bad" ;;
    truncated) head -c $(($(stat -c %s "$2") * 2 / 3 + 5)) "$2" >"$bad" ;;
    fifo) mkfifo "$bad" ;;
    forbidden)
        cp "$2" "$bad"
        chmod 0 "$bad"
        ;;
    text) printf 'This is something else.\n' >"$bad" ;;
    octets) # of no kind: one in a hundred would begin as a CMW record or JSON does
        {
            printf '\377'
            head -c 2999 /dev/urandom
        } >"$bad" ;;
    esac
}

# try KIND STATUS LIKE VERB [WORD...]: @ stands for the bad file.
try() {
    local kind=$1 expected=$2 status=0 lines
    local -a words=() user=()
    make_bad "$kind" "$3"
    shift 3
    words=("${@//@/$bad}")
    if [[ $kind == forbidden ]] && ((EUID == 0)); then
        user=(setpriv --reuid=nobody --regid=nogroup --clear-groups --)
    fi
    printf '$ attest %s\n' "${words[*]}"
    "${user[@]}" timeout 20 "$ATTEST_BUILDDIR/attest" "${words[@]}" \
        >"$work/out" 2>"$work/err" </dev/null || status=$?
    cat "$work/err"
    ((status == expected)) || fail "$kind: ${words[*]}: ends with $status, not $expected"
    lines=$(wc -l <"$work/err")
    ((lines == 1)) || fail "$kind: ${words[*]}: $lines lines on standard error"
    has "$work/err" "attest ${words[0]}: " || fail "$kind: does not begin with the verb"
    [[ -n $names_parts && $unreadable != *"$kind="* ]] ||
        has "$work/err" "${bad##*/}" || fail "$kind: does not name the file"
    [[ ! -s $work/out ]] || fail "$kind: ${words[*]}: something on standard output"
}

# Set where a verb names the structure that is wrong and not the file it came in.
names_parts=

# each STATUSES LIKE VERB [WORD...]: STATUSES are KIND=STATUS.
each() {
    local pairs=$1 pair
    shift
    for pair in $pairs; do
        try "${pair%=*}" "${pair#*=}" "$@"
    done
}

# What cannot be read is a matter of files; what can be read and is no evidence,
# of evidence.
readonly unreadable='missing=2 folder=2 zero=2 fifo=2 forbidden=2'
readonly no_evidence='empty=3 terabyte=3 truncated=3 text=3 octets=3'
readonly wrong='empty=2 terabyte=2 truncated=2 text=2 octets=2'

test_show() {
    each "$unreadable $no_evidence" "$evidence" show @
    each "$unreadable ${wrong/truncated=2 /}" "$policy" show "$evidence" --policy @
    each "$unreadable ${wrong/truncated=2 /}" "$lab/ca.pem" \
        show "localhost:$attested_port" --cafile @
    local option status
    for option in --save --html; do
        status=0
        run attest show "$evidence" "$option" "$work" || status=$?
        same "status, $option to a folder" 2 "$status"
        [[ $output == *"attest show: cannot write "* ]] || fail "$option does not say it"
    done
}

test_policy_from() {
    each "$unreadable $no_evidence" "$evidence" policy --from @ --trust "$roots"
    each "$unreadable $wrong" "$roots" policy --from "$evidence" --trust @
    each "$unreadable ${wrong/truncated=2 /}" "$lab/ca.pem" \
        policy --from "localhost:$attested_port" --trust "$roots" --cafile @
    try folder 2 "$evidence" policy --from "$evidence" --trust "$roots" --output @
    try folder 2 "$evidence" policy --from "$evidence" --trust "$roots" --output @ --force
}

test_policy_here() {
    each "$unreadable $wrong" "$lab/server.cnf" policy --here --trust "$roots" --conf @
    each "$unreadable $wrong" "$lab/server.pem" policy --here --trust "$roots" \
        --conf "$lab/server.cnf" --certificate-file @
    # Nothing listens there.
    variant server gone "s|^quoter .*|quoter = tcti:swtpm:port=$(free_port)|"
    local status=0
    run attest policy --here --trust "$roots" --conf "$work/gone.cnf" || status=$?
    same 'status without a TPM' 4 "$status"
    same 'lines' 1 "$(wc -l <"$work/output")"
}

test_policy_boot_log() {
    local -a rest=(--host api.test --machines any --trust "$roots")
    each "$unreadable $no_evidence" "$boot_log" policy --boot-log @ "${rest[@]}"
    each "$unreadable terabyte=3 truncated=3 text=3 octets=3" "$lab/events.cel" \
        policy --boot-log "$boot_log" --measured-log @ "${rest[@]}"
}

test_policy_check() {
    each "$unreadable ${wrong/truncated=2 /}" "$policy" policy check @
    each "$unreadable ${wrong/truncated=2 /}" "$policy" policy check @ "$evidence"
    each "$unreadable $no_evidence" "$evidence" policy check "$policy" @
}

test_policy_diff() {
    each "$unreadable empty=2 terabyte=2 truncated=3" "$evidence" policy diff @ "$evidence"
    each "$unreadable empty=2 terabyte=2 truncated=3" "$evidence" policy diff "$evidence" @
    each "$unreadable $wrong" "$policy" policy diff "$policy" @
}

# The raw parts of a quote, as tpm2-tools writes them.
test_verify() {
    local chain=$lab/ak-chain.pem message=$scratch/setup/quote
    export TPM2TOOLS_TCTI
    TPM2TOOLS_TCTI=$(<"$lab/tcti")
    tpm2_quote -Q -c 0x81010002 -l sha256:0,1 -q 00 -m "$message" -s "$message.sig" \
        >"$message.log" 2>&1 || fail 'tpm2_quote'
    tpm2_pcrread sha256:0,1 >"$message.pcrs"
    chmod 644 "$message" "$message.sig" "$message.pcrs"
    local -A parts=([quote]=$message [signature]=$message.sig [pcrs]=$message.pcrs
        [ak-chain]=$chain [trust]=$roots)
    local -a words
    local option other names_parts=yes
    for option in "${!parts[@]}"; do
        words=(verify --extra-data 00)
        for other in "${!parts[@]}"; do
            if [[ $other == "$option" ]]; then
                words+=("--$other" @)
            else
                words+=("--$other" "${parts[$other]}")
            fi
        done
        case $option in
        trust) each "$unreadable $wrong" "${parts[$option]}" "${words[@]}" ;;
        *) each "$unreadable $no_evidence" "${parts[$option]}" "${words[@]}" ;;
        esac
    done
    words=(verify --extra-data 00 --quote "$message" --signature "$message.sig"
        --pcrs "$message.pcrs" --ak-public @)
    openssl x509 -in "$chain" -noout -pubkey >"$message.pub"
    each "$unreadable $wrong" "$message.pub" "${words[@]}"
}

# A component may be empty, a folder, and as large as it likes.
test_measure() {
    local -a here=(--conf "$lab/server.cnf")
    each 'missing=2 zero=2 fifo=2 forbidden=2' "$roots" measure "${here[@]}" --name x @
    each "$unreadable $wrong" "$lab/server.pem" measure "${here[@]}" --certificate @
    each "$unreadable $wrong" "$lab/ca.pem" measure "${here[@]}" --authority @
    each "${unreadable/missing=2 /} terabyte=3 truncated=3 text=3 octets=3" "$lab/events.cel" \
        measure "${here[@]}" --name x --digest "sha256:$(printf '%064d' 0)" --log @
    each "$unreadable terabyte=2 octets=2" "$lab/server.cnf" \
        measure --name x "$roots" --conf @
}

# What is wrong with a configuration are findings, on standard output.
test_check() {
    local kind status
    for kind in missing empty folder zero terabyte fifo text octets; do
        make_bad "$kind" "$lab/server.cnf"
        status=0
        run timeout 20 "$ATTEST_BUILDDIR/attest" check --conf "$bad" || status=$?
        same "status, $kind" 2 "$status"
        [[ $output == *"${bad##*/}"* ]] || fail "$kind: does not name the file"
    done
}

run_tests "$@"
