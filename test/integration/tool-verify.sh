#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# `attest verify` with quotes that are made at every run: random keys, banks,
# selections and qualifying data on a software TPM. What tpm2_checkquote accepts of
# these, attest must accept. For refusals it is no judge: Debian's accepts forged
# magic values and relabelled PCRs (CVE-2024-29038, CVE-2024-29039).
# ATTEST_QUOTES_SEED=N makes the same choices again.
# shellcheck source=lib.bash
. "${0%/*}/lib.bash"
need openssl swtpm tpm2_quote tpm2_checkquote tpm2_createprimary

seed=${ATTEST_QUOTES_SEED:-$((RANDOM * 32768 + RANDOM))}
readonly seed
readonly rounds=5
readonly attributes='fixedtpm|fixedparent|sensitivedataorigin|userwithauth|restricted|sign|noda'

setup() {
    tpm_start || return
    extend_some
}

# On a port that nobody uses, in a folder of its own.
tpm_start() {
    local tries port
    mkdir -p "$scratch/tpm"
    for ((tries = 0; tries < 20; tries++)); do
        port=$(free_port)
        spawn swtpm swtpm socket --tpm2 --tpmstate dir="$scratch/tpm" \
            --server "type=tcp,port=$port,bindaddr=127.0.0.1" \
            --ctrl "type=tcp,port=$((port + 1)),bindaddr=127.0.0.1" \
            --flags not-need-init,startup-clear
        export TPM2TOOLS_TCTI=swtpm:host=127.0.0.1,port=$port
        if await tpm_answers; then
            is_running "$spawned" && return 0
        fi
    done
    return 1
}

# Until it does, or has ended.
tpm_answers() {
    ! is_running "$spawned" || tpm2_getcap properties-fixed >/dev/null 2>&1
}

# Sets numbers: random PCRs, each once.
random_pcrs() {
    local -a all=()
    mapfile -t all < <(seq 0 23 | shuffle)
    numbers=("${all[@]:0:1 + RANDOM % 24}")
}

# The lines of the input in an order that the seed decides.
shuffle() {
    local line
    while IFS= read -r line; do
        printf '%05d %s\n' "$RANDOM" "$line"
    done | sort | cut -d' ' -f2-
}

random_hex() {
    local i
    for ((i = 0; i < $1; i++)); do
        printf '%02x' $((RANDOM % 256))
    done
}

# Subshells inherit the generator but do not advance it: draw one number here, so
# that two in a row differ.
draw() {
    RANDOM=$((RANDOM))
}

extend_some() {
    local pcr
    RANDOM=$((seed % 32768))
    for pcr in 0 3 7 9 12 15 16 23; do
        tpm2_pcrextend "$pcr:sha1=$(random_hex 20),sha256=$(random_hex 32),sha384=$(random_hex 48),sha512=$(random_hex 64)" ||
            return
        draw
    done
}

# new_ak NAME ALGORITHM: $work/NAME.ctx, .pem and .tss
new_ak() {
    tpm2_createprimary -Q -C e -g sha256 -G "$2:null" -a "$attributes" -c "$work/$1.ctx"
    tpm2_readpublic -Q -c "$work/$1.ctx" -f pem -o "$work/$1.pem"
    tpm2_readpublic -Q -c "$work/$1.ctx" -f tss -o "$work/$1.tss"
    tpm2_flushcontext -t
}

# Sets $selection: one to three banks in any order, not sha1 alone.
random_selection() {
    local -a banks=()
    local bank
    local -a numbers=()
    selection=
    mapfile -t banks < <(printf '%s\n' sha1 sha256 sha384 sha512 | shuffle)
    draw
    banks=("${banks[@]:0:1 + RANDOM % 3}")
    [[ ${banks[*]} != sha1 ]] || banks=(sha256 sha1)
    for bank in "${banks[@]}"; do
        random_pcrs
        draw
        selection+=${selection:++}$bank:$(IFS=,; printf '%s' "${numbers[*]}")
    done
}

# take_quote KEY SCHEME HASH: $work/quote.*, with $selection and $data; counts what
# tpm2_checkquote accepts. It does not verify RSAPSS.
take_quote() {
    local -a qualification=()
    [[ -z $data ]] || qualification=(-q "$data")
    tpm2_quote -Q -c "$work/$1.ctx" -l "$selection" --scheme "$2" -g "$3" \
        "${qualification[@]}" -m "$work/quote.msg" -s "$work/quote.sig" -o "$work/quote.pcrs"
    tpm2_flushcontext -t
    tpm2_pcrread >"$work/quote.yaml"
    if tpm2_checkquote -Q -u "$work/$1.tss" -m "$work/quote.msg" -s "$work/quote.sig" \
        -f "$work/quote.pcrs" -g "$3" "${qualification[@]}"; then
        accepted=$((accepted + 1))
    else
        [[ $2 == rsapss ]] || fail "tpm2_checkquote does not accept the quote of $selection"
    fi
}

# verify KEY [DATA]: status in $status
verify() {
    status=0
    run attest verify --quote "$work/quote.msg" --signature "$work/quote.sig" \
        --pcrs "$work/quote.yaml" --extra-data "${2-$data}" --ak-public "$1" || status=$?
}

# refused WHAT STATUS REASON KEY [DATA]: in one line.
refused() {
    verify "${@:4}"
    same "status, $1" "$2" "$status"
    [[ $output == 'attest verify: '* && $output != *$'\n'* ]] || fail "$1: not one line"
    [[ $output == *"$3"* ]] || fail "$1: refused without the reason: $3"
}

# flip FILE: one bit of one octet, both any.
flip() {
    local offset=$((RANDOM % $(stat -c %s "$1"))) old
    old=$(od -An -tu1 -j "$offset" -N 1 "$1")
    # shellcheck disable=SC2059 # the octet, as an escape sequence
    printf "\\x$(printf %02x $((old ^ 1 << RANDOM % 8)))" |
        dd of="$1" bs=1 seek="$offset" conv=notrunc status=none
    printf 'octet %d of %s\n' "$offset" "$1"
}

# damaged FILE REASON KEY: with one bit of the file flipped.
damaged() {
    cp "$work/$1" "$work/saved"
    flip "$work/$1"
    refused "a bit of $1 flipped" 3 "$2" "$3"
    cp "$work/saved" "$work/$1"
}

# Of the first bank and PCR that are quoted: its line in tpm2_pcrread's output.
quoted_line() {
    local bank=${selection%%:*} pcr=${selection#*:}
    pcr=${pcr%%[,+]*}
    awk -v bank="$bank:" -v pcr="$pcr" '$1 ~ /:$/ && NF == 1 { in_bank = $1 == bank }
        in_bank && NF > 1 && $1 + 0 == pcr { print NR; exit }' "$work/quote.yaml"
}

# Another value of a quoted PCR, and none at all.
changed_values() {
    local line
    line=$(quoted_line)
    cp "$work/quote.yaml" "$work/saved"
    sed -E "${line}{s/[0-9A-E]\$/F/;t;s/F\$/0/}" "$work/saved" >"$work/quote.yaml"
    refused 'another PCR value' 3 'not those that the TPM quoted' "$1"
    sed "${line}d" "$work/saved" >"$work/quote.yaml"
    refused 'a quoted PCR that is missing' 1 'is quoted, but its value is not' "$1"
    cp "$work/saved" "$work/quote.yaml"
}

# try_key NAME KIND SCHEME HASH
try_key() {
    local name=$1 algorithm=$2:$3-$4 round key status selection data accepted=0
    new_ak "$name" "$algorithm"
    for ((round = 0; round < rounds; round++)); do
        random_selection
        data=$(random_hex $((RANDOM % 65)))
        draw
        key=$work/$name.pem
        ((RANDOM % 2)) || key=$work/$name.tss
        printf '%s, %s, data %s\n' "$algorithm" "$selection" "$data"
        take_quote "$name" "$3" "$4"
        verify "$key"
        same "status, $algorithm, $selection" 0 "$status"
        refused 'other qualifying data' 3 'qualifying data: expected ' "$key" "$(random_hex 20)"
        changed_values "$key"
        damaged quote.msg "the AK's signature over the quote is wrong" "$key"
        damaged quote.sig '' "$key"
    done
    note "seed $seed: $rounds quotes of $algorithm, tpm2_checkquote accepts $accepted"
}

# Of several, the seed's choice.
one_of() {
    local -a all=("$@")
    chosen=${all[RANDOM % ${#all[@]}]}
}

test_E7_E13_quotes_of_P256() {
    RANDOM=$((seed % 32768 + 1))
    try_key ecc ecc256 ecdsa sha256
}

test_E7_E13_quotes_of_P384() {
    local chosen
    RANDOM=$((seed % 32768 + 2))
    one_of sha256 sha384 sha512
    try_key ecc ecc384 ecdsa "$chosen"
}

test_E7_E13_quotes_of_RSA() {
    local chosen scheme
    RANDOM=$((seed % 32768 + 3))
    one_of rsassa rsapss
    scheme=$chosen
    one_of sha256 sha384 sha512
    try_key rsa rsa2048 "$scheme" "$chosen"
    [[ $scheme == rsassa ]] && scheme=rsapss || scheme=rsassa
    one_of sha256 sha384
    try_key larger rsa3072 "$scheme" "$chosen"
}

# The other AKs are whatever tpm2_createak makes of its options.
test_E13_createak() {
    local selection=sha256:0,7,15 data=00 status accepted=0
    tpm2_createek -Q -G ecc -c "$work/ek.ctx"
    tpm2_flushcontext -t
    tpm2_createak -Q -C "$work/ek.ctx" -c "$work/ak.ctx" -G ecc -g sha256 -s ecdsa \
        -u "$work/ak.tss" -f tss
    tpm2_flushcontext -t
    tpm2_readpublic -Q -c "$work/ak.ctx" -f pem -o "$work/ak.pem"
    tpm2_flushcontext -t
    take_quote ak ecdsa sha256
    verify "$work/ak.tss"
    same 'status, AK of tpm2_createak' 0 "$status"
}

# E3: the TPM makes no quote with a key that decrypts, but one that signs anything
# quotes just as well.
test_E3_unrestricted_key() {
    local selection=sha256:0 data=00 status accepted=0
    tpm2_createprimary -Q -C e -g sha256 -G ecc256:ecdsa-sha256:null \
        -a 'fixedtpm|fixedparent|sensitivedataorigin|userwithauth|sign|noda' -c "$work/ak.ctx"
    tpm2_readpublic -Q -c "$work/ak.ctx" -f pem -o "$work/ak.pem"
    tpm2_readpublic -Q -c "$work/ak.ctx" -f tss -o "$work/ak.tss"
    tpm2_flushcontext -t
    take_quote ak ecdsa sha256
    verify "$work/ak.pem"
    same 'status where the attributes are not known' 0 "$status"
    refused 'a key that is not restricted' 1 \
        'lacks the attribute restricted: it signs whatever it is given' "$work/ak.tss"
}

# A bank that the TPM does not keep comes back in the quote without PCRs. The last
# test: it takes the TPM with it.
test_E7_bank_that_is_not_there() {
    local selection data=0102 status
    tpm2_pcrallocate -Q sha1:none+sha256:all+sha384:all+sha512:none
    tpm2_shutdown --clear
    stop "$spawned"
    tpm_start
    new_ak ecc ecc256:ecdsa-sha256
    for selection in sha512:0,1+sha256:0,1 sha256:0,1+sha1:7; do
        tpm2_quote -Q -c "$work/ecc.ctx" -l "$selection" -g sha256 -q "$data" \
            -m "$work/quote.msg" -s "$work/quote.sig"
        tpm2_flushcontext -t
        tpm2_pcrread >"$work/quote.yaml"
        verify "$work/ecc.tss"
        same "status, $selection" 0 "$status"
    done
    tpm2_quote -Q -c "$work/ecc.ctx" -l sha512:0 -g sha256 -q "$data" \
        -m "$work/quote.msg" -s "$work/quote.sig"
    refused 'nothing but a bank that is not there' 1 'the quote selects no PCR' "$work/ecc.tss"
}

run_tests
