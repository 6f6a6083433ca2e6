"""Which address ranges the networks of workspaces get (pure).

Engines have about thirty ranges of their own for networks, far fewer than there may be workspaces.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from ipaddress import IPv4Network

POOL = IPv4Network("10.213.0.0/16")
PREFIX_LENGTH = 28  # the engine's gateway and up to 13 containers
TRIES = 64


def subnets_of(name: str, pool: IPv4Network = POOL) -> Iterator[str]:
    """Ranges to try for a network, in an order that two networks seldom have in common; at most `TRIES`."""
    count = 1 << (PREFIX_LENGTH - pool.prefixlen)
    first = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8])
    for number in range(min(TRIES, count)):
        offset = (first + number) % count << (32 - PREFIX_LENGTH)
        yield f"{pool.network_address + offset}/{PREFIX_LENGTH}"
