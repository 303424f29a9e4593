# SPDX-License-Identifier: BSD-2-Clause
"""journal.py SOCKET: what services say to /dev/log, a line each, as systemd's
journal would take it."""
import os
import socket
import sys

journal = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
journal.bind(sys.argv[1])
os.chmod(sys.argv[1], 0o666)
while True:
    print(journal.recv(65536).decode(errors="replace").rstrip("\n"), flush=True)
