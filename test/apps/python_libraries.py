#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Fetch the page with one of the libraries that Python programs use, which know
nothing of attest. Usage:

python_libraries.py LIBRARY CA HOST PORT

HOST is what is shown of the server: nothing where it is an address.
"""

import asyncio
import ssl
import sys


def requests(authority, host, port):
    import requests as library

    print(library.get(f"https://{host}:{port}/page", verify=authority).text)


def urllib3(authority, host, port):
    import urllib3 as library

    pool = library.PoolManager(ca_certs=authority)
    print(pool.request("GET", f"https://{host}:{port}/page", retries=False).data.decode())


def httpx(authority, host, port):
    import httpx as library

    print(library.get(f"https://{host}:{port}/page", verify=authority).text)


def aiohttp(authority, host, port):
    import aiohttp as library

    async def get():
        context = ssl.create_default_context(cafile=authority)
        async with library.ClientSession() as session, session.get(
            f"https://{host}:{port}/page", ssl=context
        ) as answer:
            print(await answer.text())

    asyncio.run(get())


def redis(authority, host, port):
    import redis as library

    client = library.Redis(host=host, port=port, ssl=True, ssl_ca_certs=authority)
    print(client.get("page").decode())


def pymysql(authority, host, port):
    import pymysql as library

    connection = library.connect(host=host, port=port, user="user", ssl={"ca": authority})
    with connection.cursor() as cursor:
        cursor.execute("select page")
        print(cursor.fetchone()[0])


def main():
    library, authority, host, port = sys.argv[1:]
    known = {function.__name__: function for function in (requests, urllib3, httpx, aiohttp, redis, pymysql)}
    known[library](authority, host, int(port))


main()
