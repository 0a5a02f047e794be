"""Random identities. Never derived from paths, clocks or hosts."""

from __future__ import annotations

import secrets
import uuid


def new_uuid() -> str:
    """A random UUID as 36 characters."""
    return str(uuid.UUID(bytes=secrets.token_bytes(16), version=4))


def new_number() -> int:
    """A random number of 63 bits, never 0: fits a signed 64-bit column."""
    return secrets.randbits(63) or 1
