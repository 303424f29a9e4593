# SPDX-License-Identifier: BSD-2-Clause
"""A TLS 1.3 server that sends what OpenSSL's would not: attestation evidence that
nobody asked for. Just enough of RFC 8446 for that: X25519, AES-128-GCM with
SHA-256, an ECDSA P-256 certificate, one connection after another.

Usage: crafted_server.py CERTIFICATE KEY PAGE PLACE HEX
  PLACE  where extension 0xffa7 goes: certificate, encrypted-extensions,
         server-hello or nowhere
  HEX    what is in it

On stdout: "ACCEPT ADDRESS:PORT", then for each client "served", "alert N" or
"closed".
"""
import hashlib
import hmac
import os
import socket
import ssl
import sys

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

EVIDENCE = 0xFFA7
HANDSHAKE, ALERT, APPLICATION, CHANGE_CIPHER_SPEC = 22, 21, 23, 20


def u8(data):
    return bytes([len(data)]) + data


def u16(data):
    return len(data).to_bytes(2, "big") + data


def u24(data):
    return len(data).to_bytes(3, "big") + data


def extension(number, data):
    return number.to_bytes(2, "big") + u16(data)


def message(kind, body):
    return bytes([kind]) + u24(body)


def extract(salt, secret):
    return hmac.new(salt, secret, hashlib.sha256).digest()


def expand_label(secret, label, context, length):
    """RFC 8446 section 7.1; one block of HKDF-Expand is enough."""
    info = length.to_bytes(2, "big") + u8(b"tls13 " + label) + u8(context)
    return hmac.new(secret, info + b"\1", hashlib.sha256).digest()[:length]


def derive(secret, label, transcript):
    return expand_label(secret, label, hashlib.sha256(transcript).digest(), 32)


class Keys:
    """One direction's record protection."""

    def __init__(self, secret):
        self.aead = AESGCM(expand_label(secret, b"key", b"", 16))
        self.iv = int.from_bytes(expand_label(secret, b"iv", b"", 12), "big")
        self.sequence = 0

    def nonce(self):
        nonce = (self.iv ^ self.sequence).to_bytes(12, "big")
        self.sequence += 1
        return nonce

    def seal(self, kind, data):
        head = bytes([APPLICATION, 3, 3]) + (len(data) + 17).to_bytes(2, "big")
        return head + self.aead.encrypt(self.nonce(), data + bytes([kind]), head)

    def open(self, head, data):
        inner = self.aead.decrypt(self.nonce(), data, head).rstrip(b"\0")
        return inner[-1], inner[:-1]


class Closed(Exception):
    pass


class Alerted(Exception):
    pass


class Connection:
    def __init__(self, server, client):
        self.server, self.client = server, client
        self.transcript = b""
        self.reading = None

    def read_exactly(self, length):
        data = b""
        while len(data) < length:
            more = self.client.recv(length - len(data))
            if not more:
                raise Closed
            data += more
        return data

    def read_record(self):
        while True:
            head = self.read_exactly(5)
            kind, data = head[0], self.read_exactly(int.from_bytes(head[3:], "big"))
            if kind == CHANGE_CIPHER_SPEC:
                continue
            if kind == APPLICATION and self.reading is not None:
                kind, data = self.reading.open(head, data)
            if kind == ALERT:
                raise Alerted(data[1])
            return data

    def add(self, kind, body):
        """A handshake message, into the transcript."""
        text = message(kind, body)
        self.transcript += text
        return text

    def evidence(self, place):
        if place != self.server.place:
            return b""
        return extension(EVIDENCE, self.server.evidence)

    def read_hello(self):
        hello = self.read_record()
        self.transcript += hello
        at = 4 + 2 + 32
        self.session = hello[at + 1:at + 1 + hello[at]]
        at += 1 + len(self.session)
        at += 2 + int.from_bytes(hello[at:at + 2], "big")
        at += 1 + hello[at] + 2
        while at < len(hello):
            number = int.from_bytes(hello[at:at + 2], "big")
            length = int.from_bytes(hello[at + 2:at + 4], "big")
            if number == EVIDENCE:
                print("asked", flush=True)
            if number == 51:
                self.take_share(hello[at + 6:at + 4 + length])
            at += 4 + length

    def take_share(self, shares):
        while shares:
            length = int.from_bytes(shares[2:4], "big")
            if shares[:2] == b"\0\x1d":
                self.share = X25519PublicKey.from_public_bytes(shares[4:4 + length])
            shares = shares[4 + length:]

    def send_hello(self):
        ours = X25519PrivateKey.generate()
        public = ours.public_key().public_bytes(
            serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        extensions = extension(43, b"\3\4") + extension(51, b"\0\x1d" + u16(public))
        extensions += self.evidence("server-hello")
        hello = self.add(2, b"\3\3" + os.urandom(32) + u8(self.session) + b"\x13\x01\0"
                         + u16(extensions))
        self.client.sendall(bytes([HANDSHAKE, 3, 3]) + u16(hello)
                            + bytes([CHANGE_CIPHER_SPEC, 3, 3, 0, 1, 1]))
        early = extract(bytes(32), bytes(32))
        secret = extract(derive(early, b"derived", b""), ours.exchange(self.share))
        self.client_secret = derive(secret, b"c hs traffic", self.transcript)
        self.server_secret = derive(secret, b"s hs traffic", self.transcript)
        self.master = extract(derive(secret, b"derived", b""), bytes(32))

    def send_rest(self):
        server = self.server
        flight = self.add(8, u16(self.evidence("encrypted-extensions")))
        flight += self.add(11, b"\0" + u24(u24(server.certificate)
                                           + u16(self.evidence("certificate"))))
        to_sign = (b" " * 64 + b"TLS 1.3, server CertificateVerify\0"
                   + hashlib.sha256(self.transcript).digest())
        flight += self.add(15, b"\4\3" + u16(
            server.key.sign(to_sign, ec.ECDSA(hashes.SHA256()))))
        finished = expand_label(self.server_secret, b"finished", b"", 32)
        flight += self.add(20, hmac.new(
            finished, hashlib.sha256(self.transcript).digest(), hashlib.sha256).digest())
        keys = Keys(self.server_secret)
        for at in range(0, len(flight), 16000):
            self.client.sendall(keys.seal(HANDSHAKE, flight[at:at + 16000]))

    def serve(self):
        self.read_hello()
        self.send_hello()
        self.send_rest()
        self.reading = Keys(self.client_secret)
        self.read_record()  # Finished
        self.reading = Keys(derive(self.master, b"c ap traffic", self.transcript))
        writing = Keys(derive(self.master, b"s ap traffic", self.transcript))
        self.read_record()  # a request
        self.client.sendall(writing.seal(
            APPLICATION, b"HTTP/1.0 200 OK\r\n\r\n" + self.server.page))
        self.client.sendall(writing.seal(ALERT, b"\1\0"))


class Server:
    def __init__(self, certificate, key, page, place, evidence):
        with open(certificate, encoding="ascii") as file:
            self.certificate = ssl.PEM_cert_to_DER_cert(file.read())
        with open(key, "rb") as file:
            self.key = serialization.load_pem_private_key(file.read(), None)
        with open(page, "rb") as file:
            self.page = file.read()
        self.place, self.evidence = place, bytes.fromhex(evidence)

    def run(self):
        listener = socket.create_server(("127.0.0.1", 0))
        print("ACCEPT 127.0.0.1:%d" % listener.getsockname()[1], flush=True)
        while True:
            client, _ = listener.accept()
            client.settimeout(20)
            try:
                Connection(self, client).serve()
                print("served", flush=True)
            except Alerted as alert:
                print("alert", alert, flush=True)
            except (Closed, OSError):
                print("closed", flush=True)
            client.close()


Server(*sys.argv[1:]).run()
