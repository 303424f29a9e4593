#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Write logs.txt: logs as firmware, the kernel and systemd write them, short,
with an event of each kind, and the PCRs that they lead to.

Made from the TCG PC Client Platform Firmware Profile, the UEFI Specification and
Linux' Documentation/security/IMA-templates.rst with nothing but Python's
standard library; it shares no line with the C code that the vectors test.
"""

import hashlib
import os
import struct

HERE = os.path.dirname(os.path.abspath(__file__))

EV_NO_ACTION = 3
SHA1, SHA256, SM3 = 0x0004, 0x000B, 0x0012
DIGEST_LEN = {SHA1: 20, SHA256: 32, SM3: 32}
GUID = bytes.fromhex("61dfe48bca93d211aa0d00e098032b8c")


def digest(alg, data):
    if alg == SM3:
        return b"\xa5" * 32  # never looked at
    return hashlib.new({SHA1: "sha1", SHA256: "sha256"}[alg], data).digest()


def extend(value, extended):
    return hashlib.sha256(value + extended).digest()


def ucs2(text):
    return text.encode("utf-16le")


# Boot log --------------------------------------------------------------------


def sha1_event(pcr, kind, data):
    """TCG_PCR_EVENT"""
    sha1 = bytes(20) if kind == EV_NO_ACTION else digest(SHA1, data)
    return struct.pack("<II", pcr, kind) + sha1 + struct.pack("<I", len(data)) + data


def agile_event(pcr, kind, data):
    """TCG_PCR_EVENT2"""
    event = struct.pack("<III", pcr, kind, len(DIGEST_LEN))
    for alg, length in DIGEST_LEN.items():
        event += struct.pack("<H", alg)
        event += bytes(length) if kind == EV_NO_ACTION else digest(alg, data)
    return event + struct.pack("<I", len(data)) + data


def spec_id():
    data = b"Spec ID Event03\0" + struct.pack("<IBBBBI", 0, 0, 2, 0, 2, len(DIGEST_LEN))
    for alg, length in DIGEST_LEN.items():
        data += struct.pack("<HH", alg, length)
    return sha1_event(0, EV_NO_ACTION, data + b"\0")


def variable(name, value):
    return GUID + struct.pack("<QQ", len(name), len(value)) + ucs2(name) + value


def node(kind, sub_kind, data):
    return struct.pack("<BBH", kind, sub_kind, 4 + len(data)) + data


def image(path):
    nodes = node(2, 1, bytes(8)) + node(4, 4, ucs2(path + "\0")) + node(0x7F, 0xFF, b"")
    return struct.pack("<QQQQ", 0x7A000000, 1000, 0, len(nodes)) + nodes


def partitions(name):
    header = b"EFI PART" + bytes(48) + GUID + bytes(20)
    return header + struct.pack("<Q", 1) + bytes(56) + ucs2(name).ljust(72, b"\0")


AGILE_EVENTS = [
    (0, EV_NO_ACTION, b"StartupLocality\0\3"),
    (0, 0x00000008, ucs2("firmware 1.0\0")),
    (0, 0x80000008, struct.pack("<QQ", 0xFF000000, 4096)),
    (0, 0x8000000A, b"\7FV MAIN" + bytes(16)),
    (7, 0x80000001, variable("SecureBoot", b"\1")),
    (1, 0x80000002, variable("BootOrder", b"\0\0\1\0")),
    (1, 0x80000002, variable("Boot0001", struct.pack("<IH", 1, 0) + ucs2("debian\0"))),
    (4, 0x00000004, bytes(4)),
    (5, 0x80000006, partitions("root")),
    (4, 0x80000003, image("\\EFI\\BOOT\\BOOTX64.EFI")),
    (8, 0x0000000D, b"grub_cmd: boot\0"),
    (9, 0x00000006, struct.pack("<II", 0x8F3B22EC, 13) + b"Linux initrd\0"),
    (5, 0x80000007, b"Exit Boot Services Invocation"),
]

SHA1_EVENTS = [
    (0, EV_NO_ACTION, b"Spec ID Event02\0"),
    (0, 0x00000001, b"POST CODE"),
    (0, 0x00000004, bytes(4)),
    (4, 0x00000005, b"Calling INT 19h"),
]


def boot_pcr(pcr, first):
    value = first
    for index, kind, data in AGILE_EVENTS:
        if index == pcr and kind != EV_NO_ACTION:
            value = extend(value, digest(SHA256, data))
    return value


def boot_vectors():
    agile = spec_id() + b"".join(agile_event(*event) for event in AGILE_EVENTS)
    yield "crypto-agile", agile
    yield "pcr.0", boot_pcr(0, bytes(31) + b"\3")
    for pcr in (1, 4, 5, 7, 8, 9):
        yield f"pcr.{pcr}", boot_pcr(pcr, bytes(32))
    yield "sha1", b"".join(sha1_event(*event) for event in SHA1_EVENTS)


# IMA -------------------------------------------------------------------------

FILE = hashlib.sha256(b"file").digest()
NG = ("sha256:", FILE)
IMA_ENTRIES = [
    ("ima-ng", [NG, "boot_aggregate"]),
    ("ima-sig", [NG, "/bin/sh", b"\3\2\4"]),
    ("ima-sig", [NG, "/bin/ls", b""]),
    ("ima-ngv2", [("ima:sha256:", FILE), "/bin/cat"]),
    ("ima-buf", [NG, "kexec-cmdline", b"root"]),
    ("ima", [bytes(range(20)), "/init"]),
    ("violation", [("sha256:", bytes(32)), "/open"]),
]


def sized(data):
    return struct.pack("<I", len(data)) + data


def field_data(field):
    if isinstance(field, tuple):
        return field[0].encode() + b"\0" + field[1]
    return field.encode() + b"\0" if isinstance(field, str) else field


def field_text(field):
    if isinstance(field, tuple):
        return field[0] + field[1].hex()
    return field if isinstance(field, str) else field.hex()


def ima_entry(template, fields):
    """What is hashed, what the binary log holds behind the template's name"""
    if template == "ima":
        name = fields[1].encode()
        return fields[0] + name.ljust(256, b"\0"), fields[0] + sized(name)
    data = b"".join(sized(field_data(field)) for field in fields)
    return data, sized(data)


def ima_vectors():
    binary, text = b"", ""
    own = padded = bytes(32)
    for template, fields in IMA_ENTRIES:
        is_violation = template == "violation"
        name = "ima-ng" if is_violation else template
        hashed, body = ima_entry(name, fields)
        sha1 = bytes(20) if is_violation else digest(SHA1, hashed)
        own = extend(own, b"\xff" * 32 if is_violation else digest(SHA256, hashed))
        padded = extend(padded, (b"\xff" * 20 if is_violation else sha1) + bytes(12))
        binary += struct.pack("<I", 10) + sha1 + sized(name.encode()) + body
        text += f"10 {sha1.hex()} {name} {' '.join(map(field_text, fields))}\n"
    yield "binary", binary
    yield "ascii", text.encode()
    yield "pcr.10", own
    yield "pcr.10.before-5.8", padded


# CEL-JSON --------------------------------------------------------------------


def record(pcr, content, kind):
    sha1 = digest(SHA1, content.encode()).hex()
    sha256 = digest(SHA256, content.encode()).hex()
    return (
        f'\x1e{{"pcr":{pcr},"digests":[{{"hashAlg":"sha1","digest":"{sha1}"}},'
        f'{{"hashAlg":"sha256","digest":"{sha256}"}}],"content_type":"{kind}",'
        f'"content":{{"string":"{content}"}}}}\n'
    )


def measured_vectors():
    text = record(15, "component server-code sha256:" + "a" * 64, "attest")
    text += record(7, "os-separator", "systemd")
    text += record(15, "machine-id:0123456789abcdef0123456789abcdef", "systemd")
    yield "cel-json", text.encode()


def main():
    sections = {"boot": boot_vectors, "ima": ima_vectors, "measured": measured_vectors}
    with open(os.path.join(HERE, "logs.txt"), "w", encoding="ascii") as out:
        out.write("# SPDX-License-Identifier: BSD-2-Clause\n")
        out.write("# Written by test/vectors/generate_logs.py; do not edit.\n")
        for section, vectors in sections.items():
            out.write(f"\n[{section}]\n")
            for key, value in vectors():
                out.write(f"{key} = {value.hex()}\n")


main()
