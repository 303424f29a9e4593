#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""A server of one file over implicit FTPS, for a client of it after the other.

Says for each connection whether its session was resumed. Usage:
ftps_server.py CERTIFICATE KEY FILE
"""

import socket
import ssl
import sys


def listen():
    return socket.create_server(("127.0.0.1", 0))


def accept(listener, context, kind):
    """The next connection, its handshake done, or None."""
    connection = listener.accept()[0]
    try:
        connection = context.wrap_socket(connection, server_side=True)
    except (ssl.SSLError, OSError):
        connection.close()
        return None
    state = "resumed" if connection.session_reused else "full handshake"
    print(f"{kind}: {state}", flush=True)
    return connection


def send_file(data_listener, context, path):
    with data_listener:
        data = accept(data_listener, context, "data")
    if data is None:
        return False
    with data, open(path, "rb") as file:
        data.sendall(file.read())
        data.unwrap()
    return True


def serve(control, context, path):
    """RFC 959, RFC 2428 and RFC 4217, as far as wget needs them."""
    data_listener = None

    def reply(text):
        control.sendall(text.encode() + b"\r\n")

    reply("220 ready")
    for line in control.makefile("rb"):
        command = line.split()[0].upper()
        if command in (b"PASV", b"EPSV"):
            data_listener = listen()
            port = data_listener.getsockname()[1]
            if command == b"PASV":
                reply(f"227 passive (127,0,0,1,{port // 256},{port % 256})")
            else:
                reply(f"229 passive (|||{port}|)")
        elif command == b"RETR":
            reply("150 here it comes")
            sent = send_file(data_listener, context, path)
            reply("226 done" if sent else "425 no data connection")
        elif command == b"QUIT":
            reply("221 bye")
            return
        else:
            known = {b"USER": "331 password?", b"PASS": "230 welcome", b"PWD": '257 "/"'}
            ok = (b"SYST", b"TYPE", b"PBSZ", b"PROT", b"CWD")
            reply(known.get(command, "200 ok" if command in ok else "502 no"))


def main():
    certificate, key, path = sys.argv[1:]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with listen() as listener:
        print(f"ACCEPT 127.0.0.1:{listener.getsockname()[1]}", flush=True)
        while True:
            control = accept(listener, context, "control")
            if control is None:
                continue
            with control:
                try:
                    serve(control, context, path)
                except (ssl.SSLError, OSError) as error:
                    print(f"ended: {error}", flush=True)


main()
