#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Serve one file, as Python programs do, which know nothing of attest. Usage:

python_server.py threads|fork|asyncio FILE CERTIFICATE [NAME=CERTIFICATE]...

A CERTIFICATE is a path without its .pem and .key. SIGHUP reads the first anew.
"""

import asyncio
import contextlib
import http.server
import signal
import socketserver
import ssl
import sys


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.server.page)


class Server(socketserver.TCPServer):
    """Accepts at once; the handshake is its thread's or its child's."""

    def __init__(self, context, page):
        super().__init__(("127.0.0.1", 0), Handler)
        self.page = page
        self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    def shutdown_request(self, request):
        with contextlib.suppress(OSError):
            request.unwrap()
        super().shutdown_request(request)

    def handle_error(self, request, client_address):
        print(sys.exc_info()[1], flush=True)


class ThreadingServer(socketserver.ThreadingMixIn, Server):
    daemon_threads = True


class ForkingServer(socketserver.ForkingMixIn, Server):
    max_children = 8


def on_asyncio(context, page):
    async def answer(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.0 200 OK\r\n\r\n" + page)
        await writer.drain()
        writer.close()

    async def serve():
        server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
        say_port(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(serve())


def say_port(port):
    print(f"ACCEPT 127.0.0.1:{port}", flush=True)


def make_context(path):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path + ".pem", path + ".key")
    return context


def main():
    mode, file, default, *others = sys.argv[1:]
    context = make_context(default)
    by_name = {name: make_context(path) for name, path in (other.split("=") for other in others)}

    def choose(connection, name, _context):
        connection.context = by_name.get(name, context)

    if by_name:
        context.sni_callback = choose
    signal.signal(signal.SIGHUP, lambda *_: context.load_cert_chain(default + ".pem", default + ".key"))
    with open(file, "rb") as opened:
        page = opened.read()
    if mode == "asyncio":
        on_asyncio(context, page)
        return
    with {"threads": ThreadingServer, "fork": ForkingServer}[mode](context, page) as server:
        say_port(server.server_address[1])
        server.serve_forever()


main()
