#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Fetch /page, as Python programs do, which know nothing of attest. Usage:

python_client.py blocking|asyncio|nameless|session CA HOST PORT
python_client.py fork CA HOST PORT COUNT     in so many children at once
python_client.py policy CA HOST PORT NEW OLD  before and after NEW replaces OLD
"""

import asyncio
import os
import socket
import ssl
import sys
import time
import urllib.request

REQUEST = b"GET /page HTTP/1.0\r\n\r\n"


def connect(context, host, port, session=None):
    plain = socket.create_connection(("127.0.0.1", port), timeout=30)
    return context.wrap_socket(plain, server_hostname=host, session=session)


def fetch(context, host, port, session=None):
    """The answer, the session and whether it was resumed."""
    with connect(context, host, port, session) as connection:
        connection.sendall(REQUEST)
        with connection.makefile("rb") as file:
            answer = file.read().decode()
        return answer, connection.session, connection.session_reused


def blocking(context, host, port):
    with urllib.request.urlopen(f"https://{host}:{port}/page", context=context) as answer:
        print(answer.read().decode())


def on_asyncio(context, host, port):
    async def get():
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=host)
        writer.write(REQUEST)
        print((await reader.read()).decode())
        writer.close()

    asyncio.run(get())


def nameless(context, _host, port):
    context.check_hostname = False
    print(fetch(context, None, port)[0])


def session(context, host, port):
    first = fetch(context, host, port)
    second = fetch(context, host, port, first[1])
    print(second[0], f"\nresumed: {second[2]}")


def fork(context, host, port, count):
    """With a context, and a connection, of before."""
    fetch(context, host, port)
    children = []
    for _ in range(int(count)):
        pid = os.fork()
        if pid == 0:
            try:
                print(fetch(context, host, port)[0], flush=True)
            finally:
                os._exit(0)
        children.append(pid)
    for pid in children:
        os.waitpid(pid, 0)


def policy(context, host, port, new, old):
    """The context that is there goes by the policy as it is, and so does a new one."""
    kept = old + ".kept"
    os.link(old, kept)
    print("before:", fetch(context, host, port)[0])
    for file in new, kept:
        os.replace(file, old)
        time.sleep(1.5)
        for what in context, ssl.create_default_context(cafile=sys.argv[2]):
            try:
                print("after:", fetch(what, host, port)[0])
            except ssl.SSLError as error:
                print("refused:", error)


def main():
    mode, authority, host, port = sys.argv[1:5]
    modes = {"asyncio": on_asyncio} | {
        function.__name__: function for function in (blocking, nameless, session, fork, policy)
    }
    context = ssl.create_default_context(cafile=authority)
    modes[mode](context, host, int(port), *sys.argv[5:])


main()
