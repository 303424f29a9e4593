#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Who may vouch for a machine: CRLs, intermediates and machines' names and keys,
# as a user of curl meets them.
# shellcheck source=lib.bash
. "${0%/*}/lib.bash"
need curl openssl swtpm

setup() {
    lab_up || return
    serve attested "$lab/server.cnf"
    attested_port=$port
}

home() {
    fetch "$1" "https://localhost:$attested_port/page"
}

# crl FILE CA FROM UNTIL [CERTIFICATE...]: a CRL of the CA (its files without
# suffix) that revokes these; times as date(1) reads them.
crl() {
    local file=$1 ca=$2 from=$3 until=$4 folder certificate
    shift 4
    folder=$(mktemp -d)
    : >"$folder/index.txt"
    echo 01 >"$folder/number"
    cat >"$folder/ca.cnf" <<END
[ca]
default_ca = this
[this]
database = $folder/index.txt
crlnumber = $folder/number
default_md = sha256
certificate = $ca.pem
private_key = $ca.key
crl_extensions = extensions
unique_subject = no
[extensions]
authorityKeyIdentifier = keyid:always
END
    for certificate; do
        openssl ca -config "$folder/ca.cnf" -revoke "$certificate"
    done
    openssl ca -config "$folder/ca.cnf" -gencrl -out "$file.new" \
        -crl_lastupdate "$(date -u -d "$from" +%Y%m%d%H%M%SZ)" \
        -crl_nextupdate "$(date -u -d "$until" +%Y%m%d%H%M%SZ)"
    # As whole files are replaced.
    mv "$file.new" "$file"
}

# certify CA SUBJECT PUBLIC-KEY OUT EXTENSION...
certify() {
    local ca=$1 subject=$2 key=$3 out=$4
    shift 4
    openssl x509 -new -CA "$ca.pem" -CAkey "$ca.key" -force_pubkey "$key" \
        -subj "$subject" -days 30 -out "$out" -extfile <(
            printf '%s\n' "$@" 'subjectKeyIdentifier = hash' 'authorityKeyIdentifier = keyid'
        )
}

# sub_ca NAME CA: $work/NAME.pem and .key under that CA.
sub_ca() {
    openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$work/$1.key"
    openssl pkey -in "$work/$1.key" -pubout -out "$work/$1.pub"
    certify "$2" "/CN=$1" "$work/$1.pub" "$work/$1.pem" \
        'basicConstraints = critical, CA:TRUE' 'keyUsage = critical, keyCertSign, cRLSign'
}

# ak_under NAME CA: $work/NAME.pem, another certificate of the lab's AK.
ak_under() {
    openssl x509 -in "$lab/ak-chain.pem" -noout -pubkey >"$work/ak.pub"
    certify "$2" '/CN=the AK' "$work/ak.pub" "$work/$1.pem" \
        'basicConstraints = critical, CA:FALSE' 'keyUsage = critical, digitalSignature' \
        'extendedKeyUsage = 2.23.133.8.3' "subjectAltName = DNS:$(machine)"
}

# The name that the lab's policy gives its machine.
machine() {
    sed -n 's/^machines *= *//p' "$lab/policy.cnf"
}

# serve_chain NAME CERTIFICATE...: the lab's server with this chain. Sets port.
serve_chain() {
    local name=$1
    shift
    cat "$@" >"$work/$name.chain.pem"
    variant server "$name.server" "s|^ak_chain .*|ak_chain = $work/$name.chain.pem|"
    serve "$name" "$work/$name.server.cnf"
}

test_E18_P11_crl() {
    crl "$work/ak.crl" "$lab/pki/ak-ca" '-1 day' '+30 days'
    policy_variant crl "\$acrl = ak.crl"
    accepts 'not revoked' home "$work/crl.cnf"
    openssl crl -in "$work/ak.crl" -outform DER -out "$work/ak.der"
    policy_variant der "\$acrl = ak.der"
    accepts 'in DER' home "$work/der.cnf"
    crl "$work/ak.crl" "$lab/pki/ak-ca" '-1 day' '+30 days' "$lab/ak-chain.pem"
    ATTEST_REPORT=$work/by refuses 'revoked' ' was revoked on ' home "$work/crl.cnf"
    says "$work/by" ' by CN=AK CA,O=attest lab; expected one that is not: take the machine out of service'
    crl "$work/ak.crl" "$lab/pki/ak-ca" '2026-01-01' '2026-01-31'
    ATTEST_REPORT=$work/stale refuses 'past nextUpdate' 'was good until 2026-01-31' \
        home "$work/crl.cnf"
    says "$work/stale" 'was good until 2026-01-31; expected one that is good on 20'
    says "$work/stale" "fetch the current one into the policy's crl file"
    crl "$work/ak.crl" "$lab/pki/ak-ca" '+1 day' '+30 days'
    ATTEST_REPORT=$work/future refuses 'not yet valid' ' is good from 20' home "$work/crl.cnf"
    says "$work/future" 'check the clocks'
    crl "$work/ak.crl" "$lab/pki/tls-ca" '-1 day' '+30 days'
    refuses 'of another CA' 'no CRL says whether AK certificate ' home "$work/crl.cnf"
}

test_P1_P11_crl_in_the_policy() {
    local status
    policy_variant crl "\$acrl = ak.crl"
    refuses 'missing' '/ak.crl: cannot be opened: No such file or directory' home "$work/crl.cnf"
    : >"$work/ak.crl"
    refuses 'empty' '/ak.crl: there is no CRL in it' home "$work/crl.cnf"
    crl "$work/ak.crl" "$lab/pki/ak-ca" '-1 day' '+30 days' "$lab/ak-roots.pem"
    refuses 'anchor revoked' 'take it out of `trust`' home "$work/crl.cnf"
    crl "$work/ak.crl" "$lab/pki/ak-ca" '-1 day' '+3 days'
    accepts 'for three days' home "$work/crl.cnf"
    status=0
    run attest check --conf "$work/crl.cnf" || status=$?
    same 'status of attest check, three days to go' 0 "$status"
    [[ $output == *'warn  policy: '*'AK CA,O=attest lab is good until 20'*'only; fetch the next one before'* ]] ||
        fail 'attest check does not warn of a CRL that ends soon'
    crl "$work/ak.crl" "$lab/pki/ak-ca" '2026-01-01' '2026-01-31'
    run attest check --conf "$work/crl.cnf" || status=$?
    same 'status of attest check, past nextUpdate' 2 "$status"
    [[ $output == *'AK CA,O=attest lab was good until 2026-01-31, machines under it are refused'* ]] ||
        fail 'attest check does not tell of a stale CRL'
}

# A program's one context: the AK is revoked; then the CRL is past its nextUpdate,
# and a fresh one comes.
test_P3_P11_crl_is_taken_up() {
    python3 -c 'import ssl' || skip 'python3 is missing'
    crl "$work/ak.crl" "$lab/pki/ak-ca" '-1 day' '+30 days'
    crl "$work/revoked.crl" "$lab/pki/ak-ca" '-1 day' '+30 days' "$lab/ak-chain.pem"
    crl "$work/stale.crl" "$lab/pki/ak-ca" '2026-01-01' '2026-01-31'
    crl "$work/fresh.crl" "$lab/pki/ak-ca" '-1 day' '+30 days'
    policy_variant crl "\$acrl = ak.crl"
    ATTEST_REPORT=$work/report run with "$work/crl.cnf" python3 - "$lab/ca.pem" "$attested_port" "$work" <<'END'
import os, socket, ssl, sys, time
ca, port, work = sys.argv[1], int(sys.argv[2]), sys.argv[3]

def connect(what, context):
    try:
        with socket.create_connection(("127.0.0.1", port)) as plain:
            with context.wrap_socket(plain, server_hostname="localhost"):
                print(what, "accepted")
    except ssl.SSLError as error:
        print(what, "refused", error)

first = ssl.create_default_context(cafile=ca)
connect("before:", first)
for crl in "revoked", "stale", "fresh":
    os.rename(work + "/" + crl + ".crl", work + "/ak.crl")
    time.sleep(1.5)
    connect(crl + ":", first)
    connect(crl + ", new context:", ssl.create_default_context(cafile=ca))
END
    [[ $output == *'before: accepted'* ]] || fail 'refused before the CRL changed'
    local crl
    for crl in revoked stale; do
        [[ $output == *"$crl: refused"*"$crl, new context: refused"* ]] ||
            fail "the $crl CRL was not taken up"
    done
    [[ $output == *'fresh: accepted'*'fresh, new context: accepted'* ]] ||
        fail 'the fresh CRL was not taken up'
    says "$work/report" 'AK certificate CN=machine'
    says "$work/report" ' was revoked on '
}

test_E18_intermediates() {
    local chain_port
    sub_ca regional "$lab/pki/ak-ca"
    sub_ca site "$work/regional"
    sub_ca elsewhere "$lab/pki/ak-ca"
    ak_under ak "$work/site"
    serve_chain three "$work/ak.pem" "$work/regional.pem" "$work/site.pem"
    chain_port=$port
    three() {
        fetch "$1" "https://localhost:$chain_port/page"
    }
    accepts 'two intermediates, in any order' three "$lab/client.cnf"
    cat "$work/site.pem" "$lab/ak-roots.pem" >"$work/both.pem"
    policy_variant both "s|^trust .*|trust = both.pem|"
    accepts 'one of them trusted as well' three "$work/both.cnf"
    policy_variant site "s|^trust .*|trust = site.pem|"
    control() {
        three "$lab/client.cnf"
    }
    refuses 'more than the anchor needs' 'certificate 2 of the AK chain, CN=regional, is not needed for the path' \
        three "$work/site.cnf"
    crl "$work/ak.crl" "$work/site" '-1 day' '+30 days'
    policy_variant crl "\$acrl = ak.crl"
    accepts 'CRL of a CA that came with the evidence' three "$work/crl.cnf"
    crl "$work/more.crl" "$work/regional" '-1 day' '+30 days' "$work/site.pem"
    cat "$work/more.crl" >>"$work/ak.crl"
    ATTEST_REPORT=$work/revoked.report refuses 'intermediate revoked' \
        'CA certificate CN=site was revoked on ' three "$work/crl.cnf"
    says "$work/revoked.report" ' by CN=regional; '
    serve_chain four "$work/ak.pem" "$work/site.pem" "$work/regional.pem" "$work/elsewhere.pem"
    chain_port=$port
    control() {
        fetch "$lab/client.cnf" "https://localhost:$attested_port/page"
    }
    refuses 'one too many' 'certificate 4 of the AK chain, CN=elsewhere, is not needed' \
        three "$lab/client.cnf"
}

# E5: the CA certified another AK under the same name. Names let it pass, the
# hash of the key does not.
test_E5_same_name_other_key() {
    local key other
    key=$(openssl x509 -in "$lab/ak-chain.pem" -noout -pubkey |
        openssl pkey -pubin -outform DER | sha256sum)
    other=$(openssl x509 -in "$lab/ak-roots.pem" -noout -pubkey |
        openssl pkey -pubin -outform DER | sha256sum)
    policy_variant key "s|^machines .*|machines = other.example sha256:${key%% *}|"
    accepts 'by its key' home "$work/key.cnf"
    policy_variant other "s|^machines .*|machines = sha256:${other%% *}|"
    ATTEST_REPORT=$work/key refuses 'another key' \
        "AK certificate is for $(machine); expected machine sha256:${other:0:4}" home "$work/other.cnf"
    says "$work/key" "; expected machine sha256:${other%% *}"
}

test_P7_machines() {
    policy_variant address 's|^machines .*|machines = 127.0.0.1|'
    refuses 'an address' ':10: machines: AK certificates vouch for no address' home "$work/address.cnf"
    policy_variant ulabel 's|^machines .*|machines = bücher.example|'
    refuses 'a U-label' 'holds characters beyond ASCII; write internationalized names as A-labels' \
        home "$work/ulabel.cnf"
    policy_variant upper "s|^machines .*|machines = $(machine | tr '[:lower:]' '[:upper:]')|"
    accepts 'upper case' home "$work/upper.cnf"
}

run_tests "$@"
