#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Print what a service tells its manager: notify_listener.py SOCKET."""

import os
import socket
import sys

with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
    manager.bind(sys.argv[1])
    os.chmod(sys.argv[1], 0o666)
    while True:
        print(manager.recv(4096).decode().replace("\n", " "), flush=True)
