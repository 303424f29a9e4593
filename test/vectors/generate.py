#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Write the test vectors of doc/PROTOCOL.md, or check what it quotes of them.

A second implementation of the protocol, with nothing but Python's standard
library: it shares no line with the C code that the vectors test, not even
OpenSSL, libcbor or tpm2-tss. Keys, nonces (RFC 6979) and times are fixed, so
every run writes the same files:

    test/vectors/generate.py            write the files anew
    test/vectors/generate.py --check    are they, and the document, up to date?
"""

import hashlib
import hmac
import os
import re
import struct
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
CMW_TYPE = "application/vnd.attest.tpm-evidence+cbor"
CMW_TYPE_BOOT = "application/vnd.attest.tpm-boot-evidence+cbor"
CMW_TYPE_SHORT = "application/vnd.attest.tpm-short-evidence+cbor"


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


# P-256 (FIPS 186-5), deterministic ECDSA (RFC 6979) --------------------------

P = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF
N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
G = (0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
     0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5)


def add(p, q):
    if p is None or q is None:
        return p or q
    if p[0] == q[0] and (p[1] + q[1]) % P == 0:
        return None
    if p == q:
        slope = (3 * p[0] * p[0] - 3) * pow(2 * p[1], -1, P) % P
    else:
        slope = (q[1] - p[1]) * pow(q[0] - p[0], -1, P) % P
    x = (slope * slope - p[0] - q[0]) % P
    return x, (slope * (p[0] - x) - p[1]) % P


def multiply(k, point):
    result = None
    while k:
        if k & 1:
            result = add(result, point)
        point = add(point, point)
        k >>= 1
    return result


def nonces(key, digest):
    """RFC 6979, 3.2, for SHA-256 and P-256."""
    x = key.to_bytes(32, "big")
    h = (int.from_bytes(digest, "big") % N).to_bytes(32, "big")
    v, k = b"\x01" * 32, b"\x00" * 32
    for octet in (b"\x00", b"\x01"):
        k = hmac.digest(k, v + octet + x + h, "sha256")
        v = hmac.digest(k, v, "sha256")
    while True:
        v = hmac.digest(k, v, "sha256")
        yield int.from_bytes(v, "big")
        k = hmac.digest(k, v + b"\x00", "sha256")
        v = hmac.digest(k, v, "sha256")


def sign(key, message):
    digest = sha256(message)
    e = int.from_bytes(digest, "big")
    for nonce in nonces(key, digest):
        if not 0 < nonce < N:
            continue
        r = multiply(nonce, G)[0] % N
        s = pow(nonce, -1, N) * (e + r * key) % N
        if r and s:
            return r, s


# DER and X.509 (RFC 5280) ----------------------------------------------------

def der(tag, *parts):
    body = b"".join(parts)
    if len(body) < 0x80:
        return bytes([tag, len(body)]) + body
    size = (len(body).bit_length() + 7) // 8
    return bytes([tag, 0x80 | size]) + len(body).to_bytes(size, "big") + body


def integer(value):
    return der(2, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def oid(text):
    first, second, *rest = (int(arc) for arc in text.split("."))
    body = b""
    for arc in [40 * first + second] + rest:
        octets = [arc & 0x7F]
        while arc := arc >> 7:
            octets.insert(0, 0x80 | arc & 0x7F)
        body += bytes(octets)
    return der(6, body)


ECDSA_SHA256 = der(0x30, oid("1.2.840.10045.4.3.2"))


def name(common_name):
    return der(0x30, der(0x31, der(0x30, oid("2.5.4.3"),
                                   der(12, common_name.encode()))))


def spki(key):
    x, y = multiply(key, G)
    point = b"\x04" + x.to_bytes(32, "big") + y.to_bytes(32, "big")
    return der(0x30,
               der(0x30, oid("1.2.840.10045.2.1"), oid("1.2.840.10045.3.1.7")),
               der(3, b"\x00", point))


def pkcs8(key):
    x, y = multiply(key, G)
    point = b"\x04" + x.to_bytes(32, "big") + y.to_bytes(32, "big")
    private = der(0x30, integer(1), der(4, key.to_bytes(32, "big")),
                  der(0xA1, der(3, b"\x00", point)))
    return der(0x30, integer(0),
               der(0x30, oid("1.2.840.10045.2.1"), oid("1.2.840.10045.3.1.7")),
               der(4, private))


def extension(identifier, critical, value):
    flag = [der(1, b"\xff")] if critical else []
    return der(0x30, oid(identifier), *flag, der(4, value))


CA = [extension("2.5.29.19", True, der(0x30, der(1, b"\xff"))),
      extension("2.5.29.15", True, der(3, b"\x02\x04"))]      # keyCertSign
END_ENTITY = [extension("2.5.29.19", True, der(0x30)),
              extension("2.5.29.15", True, der(3, b"\x07\x80"))]  # signature
AK_EKU = extension("2.5.29.37", False, der(0x30, oid("2.23.133.8.3")))


def dns(host):
    return extension("2.5.29.17", False, der(0x30, der(0x82, host.encode())))


def key_identifier(key):
    return sha256(spki(key))[:20]


def certificate(serial, subject, key, issuer, issuer_key, extensions):
    extensions = extensions + [
        extension("2.5.29.14", False, der(4, key_identifier(key))),
        extension("2.5.29.35", False,
                  der(0x30, der(0x80, key_identifier(issuer_key))))]
    tbs = der(0x30, der(0xA0, integer(2)), integer(serial), ECDSA_SHA256,
              name(issuer),
              der(0x30, der(0x17, b"250101000000Z"), der(0x18, b"20541231235959Z")),
              name(subject), spki(key), der(0xA3, der(0x30, *extensions)))
    r, s = sign(issuer_key, tbs)
    return der(0x30, tbs, ECDSA_SHA256,
               der(3, b"\x00", der(0x30, integer(r), integer(s))))


# CBOR, deterministic (RFC 8949, 4.2.1) ---------------------------------------

def head(major, value):
    if value < 24:
        return bytes([major << 5 | value])
    for extra, size in ((24, 1), (25, 2), (26, 4), (27, 8)):
        if value < 1 << (8 * size):
            return bytes([major << 5 | extra]) + value.to_bytes(size, "big")
    raise ValueError(value)


def cbor(value):
    if isinstance(value, int):
        return head(0, value)
    if isinstance(value, bytes):
        return head(2, len(value)) + value
    if isinstance(value, str):
        return head(3, len(value)) + value.encode()
    if isinstance(value, list):
        return head(4, len(value)) + b"".join(map(cbor, value))
    return head(5, len(value)) + b"".join(
        cbor(key) + cbor(value[key]) for key in sorted(value))


# Merkle trees (RFC 9162, 2.1) ------------------------------------------------

def split(leaves):
    return 1 << ((len(leaves) - 1).bit_length() - 1)


def merkle_root(leaves):
    if len(leaves) == 1:
        return leaves[0]
    k = split(leaves)
    return sha256(b"\x01", merkle_root(leaves[:k]), merkle_root(leaves[k:]))


def merkle_path(leaves, index):
    if len(leaves) == 1:
        return []
    k = split(leaves)
    if index < k:
        return merkle_path(leaves[:k], index) + [merkle_root(leaves[k:])]
    return merkle_path(leaves[k:], index - k) + [merkle_root(leaves[:k])]


def merkle_sides(size, index):
    """On which side the nodes of the path stand."""
    if size == 1:
        return ""
    k = split(range(size))
    if index < k:
        return merkle_sides(k, index) + "r"
    return merkle_sides(size - k, index - k) + "l"


def told_size(size, index):
    """The smallest tree in which the leaf has the same path."""
    return next(n for n in range(index + 1, size + 1)
                if merkle_sides(n, index) == merkle_sides(size, index))


# The protocol ----------------------------------------------------------------

def hkdf_expand_label(secret, label, context, length, hash_name):
    """RFC 8446, 7.1; one block of output is enough here."""
    info = (struct.pack(">H", length) + bytes([6 + len(label)]) + b"tls13 "
            + label + bytes([len(context)]) + context)
    return hmac.digest(secret, info + b"\x01", hash_name)[:length]


def channel_value(secret, role):
    hash_name = {32: "sha256", 48: "sha384"}[len(secret)]
    return hkdf_expand_label(secret, b"attested tls", role, 32, hash_name)


def tree_hash(entries):
    """entries: path -> (type, flags, body)"""
    return sha256(b"attest tree v1", *(
        kind + bytes([flags]) + struct.pack(">I", len(path)) + path + body
        for path, (kind, flags, body) in sorted(entries.items())))


def folder():
    return b"d", 0, b""


def file(content, flags=0):
    return b"f", flags, sha256(content)


def link(target):
    return b"l", 0, struct.pack(">I", len(target)) + target


def binding_live(role, channel, cert):
    return sha256(b"attest v1 live", role, channel, sha256(cert))


def binding_epoch(role, time, cert):
    return sha256(b"attest v1 epoch", role, struct.pack(">Q", time), sha256(cert))


def leaf_hash(data):
    return sha256(b"\x00", data)


def extend(value, content):
    return sha256(value, sha256(content))


# The TPM (Library Part 2) ----------------------------------------------------

def tpm2b(data):
    return struct.pack(">H", len(data)) + data


def quote(extra_data, pcrs):
    """TPMS_ATTEST of a quote over all 24 PCRs of the SHA-256 bank."""
    return (struct.pack(">IH", 0xFF544347, 0x8018)
            + tpm2b(b"\x00\x0b" + sha256(b"qualified name of the AK"))
            + tpm2b(extra_data)
            + struct.pack(">QIIB", 123456789, 7, 0, 1)
            + struct.pack(">Q", 0x2020031200120003)
            + struct.pack(">IHB", 1, 0x000B, 3) + b"\xff\xff\xff"
            + tpm2b(sha256(*pcrs)))


def ecdsa_signature(key, message):
    """TPMT_SIGNATURE, ECDSA with SHA-256."""
    r, s = sign(key, message)
    return (struct.pack(">HH", 0x0018, 0x000B) + tpm2b(r.to_bytes(32, "big"))
            + tpm2b(s.to_bytes(32, "big")))


# The files -------------------------------------------------------------------

def text_of(about, sections):
    lines = ["# SPDX-License-Identifier: BSD-2-Clause",
             "# Written by test/vectors/generate.py; do not edit.",
             "# " + about]
    for section, values in sections.items():
        lines += ["", f"[{section}]"]
        for key, value in values.items():
            if isinstance(value, bytes):
                value = value.hex()
            lines.append(f"{key} = {value}".rstrip())
    return "\n".join(lines) + "\n"


def fixed_key(label):
    return int.from_bytes(sha256(b"attest test key: ", label.encode()), "big") % N


def make_certificates():
    root, intermediate = fixed_key("AK root"), fixed_key("AK intermediate")
    return {
        "root": certificate(1, "attest test AK root", root,
                            "attest test AK root", root, CA),
        "intermediate": certificate(2, "attest test AK intermediate",
                                    intermediate, "attest test AK root", root,
                                    CA),
        "ak": certificate(3, "ak.example", fixed_key("AK"),
                          "attest test AK intermediate", intermediate,
                          END_ENTITY + [AK_EKU, dns("host1.example")]),
        "tls": certificate(4, "server.example", fixed_key("TLS"),
                           "server.example", fixed_key("TLS"),
                           END_ENTITY + [dns("server.example")]),
    }


def binding_vectors(tls):
    channel = bytes(range(32))
    cases = {
        "live-server": (b"s", channel, tls),
        "live-client": (b"c", channel, tls),
        "live-other-channel": (b"s", bytes(32), tls),
        "live-other-certificate": (b"s", channel, b"any octets are hashed"),
    }
    sections = {}
    for size in (32, 48):
        for label, role in (("server", b"s"), ("client", b"c")):
            secret = bytes(range(size))
            sections[f"channel-{size}-{label}"] = {
                "secret": secret, "role": role.decode(),
                "channel": channel_value(secret, role)}
    for label, (role, value, cert) in cases.items():
        binding = binding_live(role, value, cert)
        sections[label] = {"role": role.decode(), "channel": value,
                           "cert": cert, "binding": binding,
                           "leaf": leaf_hash(binding)}
    for label, role, time in (("epoch-server", b"s", 1735689600),
                              ("epoch-client", b"c", 0x0102030405060708)):
        sections[label] = {"role": role.decode(), "time": time, "cert": tls,
                           "binding": binding_epoch(role, time, tls)}
    return sections


# The inputs that Certificate Transparency's implementations are tested with.
REFERENCE = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657",
             "606162636465666768696a6b6c6d6e6f"]


def merkle_vectors():
    data = [bytes.fromhex(text) for text in REFERENCE]
    leaves = [leaf_hash(item) for item in data]
    sections = {f"input-{i}": {"data": item, "leaf": leaf}
                for i, (item, leaf) in enumerate(zip(data, leaves))}
    for size in range(1, len(leaves) + 1):
        proofs = {f"proof.{i}": " ".join(
            node.hex() for node in merkle_path(leaves[:size], i))
            for i in range(size)}
        proofs["told-sizes"] = " ".join(
            f"{told_size(size, i):02x}" for i in range(size))
        sections[f"size-{size}"] = {"root": merkle_root(leaves[:size]), **proofs}
    return sections


# PCR, type (TCG PC Client Platform Firmware Profile) and data.
EV_SEPARATOR = 0x00000004
EV_S_CRTM_VERSION = 0x00000008
EV_EFI_VARIABLE_DRIVER_CONFIG = 0x80000001
EV_EFI_BOOT_SERVICES_APPLICATION = 0x80000003
BOOT_LOCALITY = 3
BOOT_EVENTS = [
    (0, EV_S_CRTM_VERSION, b"firmware 2.0"),
    (7, EV_EFI_VARIABLE_DRIVER_CONFIG, b"SecureBoot"),
    (0, EV_SEPARATOR, bytes(4)),
    (4, EV_EFI_BOOT_SERVICES_APPLICATION, b"\\EFI\\debian\\shimx64.efi"),
    (7, EV_SEPARATOR, bytes(4)),
]


def boot_digest(_, kind, data):
    """Of an application the image is measured, not what the event says."""
    is_application = kind == EV_EFI_BOOT_SERVICES_APPLICATION
    return sha256(b"image of " if is_application else b"", data)


def boot_pcrs(pcrs):
    """The values of the PCRs that the boot log replays."""
    for pcr in {event[0] for event in BOOT_EVENTS}:
        pcrs[pcr] = bytes(32)
    pcrs[0] = bytes(31) + bytes([BOOT_LOCALITY])
    for event in BOOT_EVENTS:
        pcrs[event[0]] = sha256(pcrs[event[0]], boot_digest(*event))


def boot_log():
    return [BOOT_LOCALITY, [[pcr, kind, [boot_digest(pcr, kind, data)], data]
                            for pcr, kind, data in BOOT_EVENTS]]


CERTIFICATE_EVENT = re.compile(b"certificate sha256:([0-9a-f]{64})")


def short_event(content):
    """As it travels in format 3: of a certificate's event the digest alone."""
    match = CERTIFICATE_EVENT.fullmatch(content)
    return [bytes.fromhex(match[1].decode())] if match else content


def make_evidence(certs, extra_data, contents, proof, kind, has_boot_log,
                  event=lambda content: content):
    pcrs = [sha256(b"PCR %d of the test vector" % i) for i in range(24)]
    pcrs[15] = bytes(32)
    for content in contents:
        pcrs[15] = extend(pcrs[15], content)
    if has_boot_log:
        boot_pcrs(pcrs)
    attest = quote(extra_data, pcrs)
    signature = ecdsa_signature(fixed_key("AK"), attest)
    evidence = {1: attest, 2: signature, 3: [certs["ak"], certs["intermediate"]],
                4: {0x000B: dict(enumerate(pcrs))}, **proof,
                7: [15, list(map(event, contents))]}
    if has_boot_log:
        evidence[10] = boot_log()
    return attest, signature, pcrs, cbor([kind, cbor(evidence), 4])


def evidence_vectors(certs):
    channel = bytes(range(32))
    contents = [
        b"component model-weights sha256:" + sha256(b"weights").hex().encode(),
        b"component server-code sha256:" + sha256(b"code").hex().encode(),
        b"certificate sha256:" + sha256(certs["tls"]).hex().encode(),
    ]
    leaves = [leaf_hash(sha256(b"another handshake")),
              leaf_hash(binding_live(b"s", channel, certs["tls"])),
              leaf_hash(sha256(b"a third handshake"))]
    time = 1767225600
    live = (merkle_root(leaves),
            {5: [told_size(3, 1), 1, merkle_path(leaves, 1)]})
    # Renewed once; and what is no certificate's event: 32 octets, none, nearly one.
    many = contents + [
        b"certificate sha256:" + sha256(b"renewed").hex().encode(),
        b"machine-id:0123456789abcdef01234",
        b"",
        b"certificate sha256:" + sha256(b"upper case").hex().upper().encode(),
    ]
    epoch = binding_epoch(b"s", time, certs["tls"]), {6: time}
    cases = {
        "live": (*live, contents, CMW_TYPE, False),
        "epoch": (*epoch, contents, CMW_TYPE, False),
        "boot": (*live, contents, CMW_TYPE_BOOT, True),
        "short": (*live, many, CMW_TYPE_SHORT, False, short_event),
        "short-boot": (*live, contents, CMW_TYPE_SHORT, True, short_event),
        # What every receiver has to refuse: a second way to say "short".
        "short-in-full": (*live, many, CMW_TYPE_SHORT, False),
    }
    sections = {"common": {
        "role": "s", "channel": channel, "tls_cert": certs["tls"],
        "root": certs["root"], "chain": " ".join(
            certs[label].hex() for label in ("ak", "intermediate")),
        "ak_private": pkcs8(fixed_key("AK")),
        **{f"event.{i}": content.decode() for i, content in enumerate(contents)},
    }}
    values = {}
    for label, (extra_data, proof, logged, *form) in cases.items():
        attest, signature, pcrs, cmw = make_evidence(
            certs, extra_data, logged, proof, *form)
        sections[label] = {"extra_data": extra_data, "quote": attest,
                           "signature": signature, "cmw": cmw,
                           "cmw_sha256": sha256(cmw)}
        values[label] = pcrs
        if logged is contents:
            sections["common"]["pcr.15"] = pcrs[15]
        else:
            sections[label].update({f"event.{i}": content.decode()
                                    for i, content in enumerate(logged)})
            sections[label]["pcr.15"] = pcrs[15]
    sections["live"]["tree_size"] = told_size(3, 1)
    sections["live"]["leaf_index"] = 1
    sections["live"]["path"] = " ".join(n.hex() for n in merkle_path(leaves, 1))
    sections["epoch"]["time"] = time
    sections["boot"]["locality"] = BOOT_LOCALITY
    for i, event in enumerate(BOOT_EVENTS):
        parts = (bytes([event[0]]), struct.pack(">I", event[1]),
                 boot_digest(*event), event[2])
        sections["boot"][f"event.{i}"] = " ".join(part.hex() for part in parts)
    for pcr in sorted({event[0] for event in BOOT_EVENTS}):
        sections["boot"][f"pcr.{pcr}"] = values["boot"][pcr]
    return sections


def tree_vectors():
    entries = {b"a": folder(), b"a/b": file(b"#!/bin/sh\n", 1),
               b"a.b": file(b"1"), b"\xff": file(b""), b"empty": folder(),
               b"link": link(b"a/b"), b"dangling": link(b"/nowhere")}
    return {"empty": {"digest": tree_hash({})},
            "full": {"digest": tree_hash(entries)}}


STAND_IN_CERTIFICATE = b"attest: in place of a certificate"


def agent_message(kind, *parts):
    return bytes([1, kind]) + b"".join(parts)


def vector(length_octets, data):
    """opaque<..>, RFC 8446, 3.4."""
    return len(data).to_bytes(length_octets, "big") + data


def agent_vectors():
    channel = bytes(range(32))
    cmw = b"a CMW record"
    sections = {}
    for label, role, formats, cert in (
            ("server", b"s", (1,), STAND_IN_CERTIFICATE),
            ("client", b"c", (2, 1), b"DER")):
        listed = b"".join(struct.pack(">H", number) for number in formats)
        sections[f"request-evidence-{label}"] = {
            "message": agent_message(1, role, vector(1, listed), channel,
                                     vector(2, cert)),
            "role": role.decode(), "channel": channel,
            "formats": " ".join(f"{number:04x}" for number in formats),
            "certificate": cert}
    sections["request-connection"] = {"message": agent_message(2)}
    sections["answer-evidence"] = {"message": agent_message(1, vector(2, cmw)),
                                   "cmw": cmw}
    sections["answer-connection"] = {"message": agent_message(2)}
    for label, code, reason in (
            ("refusal", "not-allowed", "user 33 (www-data) is not in allow"),
            ("unknown", "of-a-later-version", "a reason all the same"),
            ("silent", "timeout", "")):
        sections[f"answer-{label}"] = {
            "message": agent_message(255, vector(1, code.encode()),
                                     vector(1, reason.encode())),
            "code": code, "reason": reason}
    return sections


def make_files():
    certs = make_certificates()
    return {
        "binding.txt": text_of("doc/PROTOCOL.md, Binding",
                               binding_vectors(certs["tls"])),
        "merkle.txt": text_of("doc/PROTOCOL.md, Merkle tree (RFC 9162, 2.1)",
                              merkle_vectors()),
        "evidence.txt": text_of("doc/PROTOCOL.md, Evidence",
                                evidence_vectors(certs)),
        "tree.txt": text_of("doc/PROTOCOL.md, Tree hash", tree_vectors()),
        "agent.txt": text_of("doc/PROTOCOL.md, Agent", agent_vectors()),
    }


def check(files):
    """What differs from the files, and what the document quotes wrongly."""
    errors = []
    for name, text in files.items():
        with open(os.path.join(HERE, name), encoding="ascii") as there:
            if there.read() != text:
                errors.append(f"{name} is not what generate.py writes")
    digits = "".join(files.values())
    with open(os.path.join(HERE, "../../doc/PROTOCOL.md"),
              encoding="utf-8") as document:
        for number, line in enumerate(document, 1):
            for quoted in re.findall(r"\b[0-9a-f]{24,}\b", line):
                if quoted not in digits:
                    errors.append(f"PROTOCOL.md:{number}: {quoted} is in no "
                                  "vector")
    return errors


def main():
    files = make_files()
    if sys.argv[1:] == ["--check"]:
        errors = check(files)
        sys.exit("\n".join(errors) if errors else None)
    for name, text in files.items():
        with open(os.path.join(HERE, name), "w", encoding="ascii") as out:
            out.write(text)


main()
