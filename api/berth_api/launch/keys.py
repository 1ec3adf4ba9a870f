"""Key pairs for users: made ahead where we make them, checked where they bring one."""

import asyncio
import base64
import binascii
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from berth_api import metrics
from berth_core.keys.ssh import KEY_BITS, KeyPair, make_key_pair

POOL_SIZE: Final = 32
LONGEST_KEY: Final = 16_384
"""Characters of a public key with its comment: an RSA key of 16,384 bits has about 2,800."""
_CHECKED: Final = frozenset(
    {"ssh-ed25519", "ssh-rsa", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"}
)
_HARDWARE: Final = frozenset({"sk-ssh-ed25519@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com"})


class KeyPool:
    """Key pairs made ahead by one worker thread, so that nobody waits for the making of one."""

    def __init__(self, size: int = POOL_SIZE) -> None:
        self._pairs: asyncio.Queue[KeyPair] = asyncio.Queue(size)

    async def run(self) -> None:
        """Keep the pool full until cancelled."""
        while True:
            await self._pairs.put(await asyncio.to_thread(make_key_pair))
            metrics.KEYS_AHEAD.set(self._pairs.qsize())

    async def take(self) -> KeyPair:
        """Return a pair that nobody else gets; waits for the next one when the pool is empty."""
        pair = await self._pairs.get()
        metrics.KEYS_AHEAD.set(self._pairs.qsize())
        return pair


def parse_public_key(text: str) -> str:
    """Return a public key in OpenSSH's form as ``type base64 [comment]`` on one line. ValueError says what is wrong."""
    line = text.strip()
    if len(line) > LONGEST_KEY:
        raise ValueError(f"it is longer than {LONGEST_KEY} characters")
    if not line.isprintable():
        raise ValueError("give one key, on one line")
    kind, _, rest = line.partition(" ")
    encoded, _, comment = rest.strip().partition(" ")
    if kind not in _CHECKED | _HARDWARE:
        raise ValueError(f"the type must be one of {', '.join(sorted(_CHECKED | _HARDWARE))}")
    _check_blob(kind, encoded)
    return " ".join(part for part in (kind, encoded, comment.strip()) if part)


def _check_blob(kind: str, encoded: str) -> None:
    try:
        blob = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("what follows the type is not base64") from error
    inner = kind.encode()
    if not blob.startswith(len(inner).to_bytes(4, "big") + inner):
        raise ValueError("the encoded key is of another type than it says")
    if kind in _HARDWARE:
        _check_strings(blob)
        return
    try:
        key = serialization.load_ssh_public_key(f"{kind} {encoded}".encode())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ValueError("the encoded key is damaged") from error
    if isinstance(key, rsa.RSAPublicKey) and key.key_size < KEY_BITS:
        raise ValueError(f"RSA keys must have at least {KEY_BITS} bits")


def _check_strings(blob: bytes) -> None:
    # RFC 4251, section 5: the blob is a row of strings, each with its length before it.
    position = count = 0
    while position < len(blob):
        position += 4 + int.from_bytes(blob[position : position + 4], "big")
        count += 1
    if position != len(blob) or count < 3:
        raise ValueError("the encoded key is damaged")
