#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Servers of protocols that begin in clear, or that s_server does not speak: as
small as their clients let them be. Usage:

services.py CERTIFICATE FILE clear|tls PROTOCOL...

A CERTIFICATE is a path without its .pem and .key; with `clear` TLS is not offered.
Of each PROTOCOL (mysql, pop3, redis, smtp) the port is said first, then what clients
ask for, and whether it came in clear.
"""

import socket
import ssl
import struct
import sys
import threading


class Connection:
    """One client. `secret` says whether TLS is on."""

    def __init__(self, plain, context):
        self.socket = plain
        self.context = context
        self.secret = False

    def start_tls(self):
        self.socket = self.context.wrap_socket(self.socket, server_side=True)
        self.secret = True

    def exactly(self, count):
        octets = b""
        while len(octets) < count:
            more = self.socket.recv(count - len(octets))
            if not more:
                raise EOFError
            octets += more
        return octets

    def line(self):
        octets = b""
        while not octets.endswith(b"\n"):
            octets += self.exactly(1)
        return octets.decode(errors="replace").rstrip("\r\n")

    def say(self, *lines):
        self.socket.sendall("".join(line + "\r\n" for line in lines).encode())

    def note(self, text):
        print("by TLS:" if self.secret else "in clear:", text, flush=True)


def smtp(client, page, offers):
    client.say("220 localhost ESMTP")
    while True:
        command = client.line()
        client.note(command)
        word = command.upper().split(" ")[0].split(":")[0]
        if word == "STARTTLS":
            client.say("220 go on")
            client.start_tls()
        elif word == "EHLO":
            more = "250 STARTTLS" if offers and not client.secret else "250 8BITMIME"
            client.say("250-" + (page if client.secret else "localhost"), more)
        elif word == "DATA":
            client.say("354 go on")
            while client.line() != ".":
                pass
            client.say("250 taken")
        elif word == "QUIT":
            client.say("221 bye")
            return
        else:
            client.say("250 well")


def pop3(client, page, offers):
    client.say("+OK localhost")
    while True:
        command = client.line()
        client.note(command)
        word = command.upper().split(" ")[0]
        if word == "STLS":
            client.say("+OK")
            client.start_tls()
        elif word == "CAPA":
            client.say("+OK", "USER", *(["STLS"] if offers and not client.secret else []), ".")
        elif word == "QUIT":
            client.say("+OK bye")
            return
        else:
            client.say("+OK 0 0")


def redis(client, page, _offers):
    client.start_tls()
    while True:
        words = []
        for _ in range(int(client.line()[1:])):
            words.append(client.exactly(int(client.line()[1:]) + 2)[:-2].decode())
        client.note(" ".join(words))
        if words[0].upper() == "GET":
            client.say(f"${len(page)}", page)
        else:
            client.say("+OK")


# MariaDB's documentation, "Client/Server Protocol".
CLIENT_SSL = 0x800
CAPABILITIES = 0x00082209 | 0x8000  # long password, database, 4.1, transactions, plugins


class MySQL:
    def __init__(self, client):
        self.client = client
        self.sequence = 0

    def read(self):
        header = self.client.exactly(4)
        self.sequence = header[3] + 1
        return self.client.exactly(int.from_bytes(header[:3], "little"))

    def write(self, *packets):
        for packet in packets:
            header = len(packet).to_bytes(3, "little") + bytes([self.sequence % 256])
            self.client.socket.sendall(header + packet)
            self.sequence += 1


def greeting(capabilities):
    return (
        b"\x0a5.5.5-10.11.0\0"
        + struct.pack("<I8sxHBHHB10x", 1, b"saltsalt", capabilities & 0xFFFF, 33, 2, capabilities >> 16, 21)
        + b"saltsaltsalt\0mysql_native_password\0"
    )


def text(value):
    return bytes([len(value)]) + value.encode()


OK = bytes([0, 0, 0, 2, 0, 0, 0])
END = bytes([0xFE, 0, 0, 2, 0])


def rows(page):
    column = text("def") + text("") * 3 + text("page") * 2 + struct.pack("<BHIBHB2x", 12, 33, 1024, 253, 0, 0)
    return b"\x01", column, END, text(page), END


def mysql(client, page, offers):
    link = MySQL(client)
    link.write(greeting(CAPABILITIES | (CLIENT_SSL if offers else 0)))
    login = link.read()
    if len(login) == 32:
        client.start_tls()
        login = link.read()
    client.note("login")
    link.write(OK)
    while True:
        command = link.read()
        if command[0] == 1:  # COM_QUIT
            return
        query = command[1:].decode(errors="replace")
        client.note(query)
        link.write(*rows(page) if query.lower().startswith("select page") else [OK])


def serve(plain, protocol, context, page, offers):
    client = Connection(plain, context)
    try:
        protocol(client, page, offers)
    except (EOFError, OSError, ValueError) as error:
        print("ended:", error, flush=True)
    finally:
        client.socket.close()


def accept(listener, *arguments):
    while True:
        threading.Thread(target=serve, args=(listener.accept()[0], *arguments), daemon=True).start()


def main():
    certificate, file, mode, *protocols = sys.argv[1:]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate + ".pem", certificate + ".key")
    with open(file, encoding="ascii") as opened:
        page = opened.read().strip()
    known = {function.__name__: function for function in (mysql, pop3, redis, smtp)}
    threads = []
    for protocol in protocols:
        listener = socket.create_server(("127.0.0.1", 0))
        arguments = (listener, known[protocol], context, page, mode == "tls")
        threads.append(threading.Thread(target=accept, args=arguments))
        print(f"ACCEPT {protocol} 127.0.0.1:{listener.getsockname()[1]}", flush=True)
    for thread in threads:
        thread.start()


main()
