"""A client that logs in by SCRAM-SHA-256 at little cost of its own, so that thousands fit into one thread."""

import asyncio
import base64
import functools
import hashlib
import hmac
import os
import struct

from cluster import DATABASE, PASSWORD, USER


@functools.lru_cache(maxsize=64)
def salted(salt, iterations):
    return hashlib.pbkdf2_hmac("sha256", PASSWORD.encode(), salt, iterations)


def message(tag, body):
    return tag + struct.pack("!i", len(body) + 4) + body


def proof(first_bare, server_first):
    """The client's last SCRAM-SHA-256 message (RFC 5802)."""
    parts = dict(part.split("=", 1) for part in server_first.split(","))
    key = salted(base64.b64decode(parts["s"]), int(parts["i"]))
    client_key = hmac.digest(key, b"Client Key", "sha256")
    without_proof = f"c=biws,r={parts['r']}"
    signed = f"{first_bare},{server_first},{without_proof}".encode()
    signature = hmac.digest(hashlib.sha256(client_key).digest(), signed, "sha256")
    mask = bytes(a ^ b for a, b in zip(client_key, signature))
    return f"{without_proof},p={base64.b64encode(mask).decode()}".encode()


async def receive(reader):
    head = await reader.readexactly(5)
    body = await reader.readexactly(struct.unpack("!i", head[1:])[0] - 4)
    if head[:1] == b"E":
        raise RuntimeError(body.replace(b"\0", b" ").decode(errors="replace"))
    return head[:1], body


async def connect(port, query=True):
    """A connection that has logged in and run one query, unless told not to; its streams are returned to keep it open."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=4096)
    startup = b"".join(part.encode() + b"\0" for part in ("user", USER, "database", DATABASE)) + b"\0"
    writer.write(struct.pack("!ii", len(startup) + 8, 3 << 16) + startup)
    first_bare = "n=,r=" + base64.b64encode(os.urandom(18)).decode()
    queried = not query
    while True:
        tag, body = await receive(reader)
        kind = struct.unpack("!i", body[:4])[0] if tag == b"R" else None
        if kind == 10:
            first = ("n,," + first_bare).encode()
            writer.write(message(b"p", b"SCRAM-SHA-256\0" + struct.pack("!i", len(first)) + first))
        elif kind == 11:
            writer.write(message(b"p", proof(first_bare, body[4:].decode())))
        elif tag == b"Z" and queried:
            return reader, writer
        elif tag == b"Z":
            writer.write(message(b"Q", b"SELECT 1\0"))
            queried = True
