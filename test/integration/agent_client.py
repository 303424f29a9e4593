#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Ask attestd: agent_client.py SOCKET [DER]. Prints "evidence OCTETS", "refusal CODE:
TEXT" or what the system says; doc/PROTOCOL.md, "Agent", read independently."""

import os
import socket
import struct
import sys

STAND_IN = b"attest: in place of a certificate"


def main():
    path, certificate = sys.argv[1], STAND_IN
    if len(sys.argv) > 2:
        with open(sys.argv[2], "rb") as file:
            certificate = file.read()
    request = bytes([1, 1]) + b"s" + struct.pack(">BH", 2, 1) + os.urandom(32)
    request += struct.pack(">H", len(certificate)) + certificate
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as agent:
        agent.settimeout(30)
        agent.connect(path)
        agent.send(request)
        answer = agent.recv(65536)
    if not answer:
        sys.exit("no answer")
    version, kind = answer[:2]
    if version == 1 and kind == 1 and len(answer) == 4 + struct.unpack(">H", answer[2:4])[0]:
        print("evidence", len(answer) - 4)
        return
    if version != 1 or kind != 255:
        sys.exit("malformed answer")
    code = answer[3:3 + answer[2]].decode()
    reason = answer[4 + answer[2]:].decode()
    sys.exit(f"refusal {code}: {reason}")


try:
    main()
except OSError as error:
    sys.exit(str(error))
