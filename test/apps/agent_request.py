# SPDX-License-Identifier: BSD-2-Clause
"""agent_request.py SOCKET CERTIFICATE.pem: ask attestd for evidence of a TLS channel
that was made up, as a program of whoever runs this could. Prints what the answer
is: "evidence N" (octets) or "refused CODE: REASON". doc/PROTOCOL.md, "Agent"."""
import base64
import re
import socket
import struct
import sys

FORMATS = struct.pack(">HH", 1, 2)
CHANNEL = bytes(range(32))

with open(sys.argv[2], encoding="ascii") as file:
    body = re.search("-----BEGIN CERTIFICATE-----(.*?)-----END", file.read(), re.S)
der = base64.b64decode(body.group(1))

agent = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
agent.settimeout(5)
agent.connect(sys.argv[1])
agent.send(b"\1\1s" + struct.pack("B", len(FORMATS)) + FORMATS + CHANNEL
           + struct.pack(">H", len(der)) + der)
answer = agent.recv(65536)
if answer[:2] == b"\1\1":
    print("evidence", len(answer) - 4)
else:
    code_len = answer[2]
    code = answer[3:3 + code_len].decode()
    print(f"refused {code}: {answer[4 + code_len:].decode()}")
