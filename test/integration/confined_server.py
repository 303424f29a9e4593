#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""A TLS server as large ones do it: makes its SSL_CTX as root, then goes into an
empty folder, becomes nobody and forks workers.

    confined_server.py CERTIFICATE KEY FOLDER WORKERS PAGE

Prints "ACCEPT 127.0.0.1:PORT". Each worker answers one connection at a time with
the page, and tells on stderr why a handshake failed.
"""

import os
import signal
import socket
import ssl
import sys


def serve(listener, context):
    while True:
        connection, _ = listener.accept()
        connection.settimeout(20)
        try:
            with context.wrap_socket(connection, server_side=True) as tls:
                tls.recv(4096)
                page = sys.argv[5] + "\n"
                tls.sendall((f"HTTP/1.0 200 ok\r\nWorker: {os.getpid()}\r\n"
                             f"Content-Length: {len(page)}\r\n\r\n{page}").encode())
        except OSError as error:
            print(error, file=sys.stderr, flush=True)


def main():
    certificate, key, folder, workers = sys.argv[1:5]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    os.chroot(folder)
    os.chdir("/")
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
    children = []
    for _ in range(int(workers)):
        pid = os.fork()
        if pid == 0:
            serve(listener, context)
        children.append(pid)

    def end(*_):
        for pid in children:
            os.kill(pid, signal.SIGTERM)
        os._exit(0)

    signal.signal(signal.SIGTERM, end)
    print(f"ACCEPT 127.0.0.1:{listener.getsockname()[1]}", flush=True)
    while True:
        signal.pause()


main()
