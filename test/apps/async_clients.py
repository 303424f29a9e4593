# SPDX-License-Identifier: BSD-2-Clause
"""async_clients.py PORT CA COUNT VANISH MS: COUNT clients at once, of which every
VANISHth (0: none) is gone some time within MS after its ClientHello. Prints how
many of the others were served, how many were not, and the seconds it took."""
import asyncio
import random
import ssl
import sys
import time

PORT, CA = int(sys.argv[1]), sys.argv[2]
COUNT, VANISH, MS = (int(argument) for argument in sys.argv[3:])
CONTEXT = ssl.create_default_context(cafile=CA)
REQUEST = b"GET /page HTTP/1.0\r\nHost: localhost\r\n\r\n"
PAGE = b"The page that only a trusted server may show"


def client_hello():
    outgoing = ssl.MemoryBIO()
    client = CONTEXT.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost")
    try:
        client.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outgoing.read()


async def vanish():
    _, writer = await asyncio.open_connection("127.0.0.1", PORT)
    writer.write(client_hello())
    await writer.drain()
    await asyncio.sleep(random.random() * MS / 1000)
    if random.random() < 0.5:
        writer.transport.abort()
    else:
        writer.close()


async def fetch():
    try:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", PORT, ssl=CONTEXT, server_hostname="localhost"
        )
        writer.write(REQUEST)
        answer = await reader.read()
        writer.close()
        return PAGE in answer
    except OSError as error:
        print(error)
        return False


async def run():
    begin = time.monotonic()
    clients = [
        vanish() if VANISH and i % VANISH == 0 else fetch() for i in range(COUNT)
    ]
    results = await asyncio.gather(*clients)
    print("served", results.count(True))
    print("not served", results.count(False))
    print("seconds %.2f" % (time.monotonic() - begin))


asyncio.run(run())
