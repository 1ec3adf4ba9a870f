"""Key pairs for users who bring no key, and the Secret in the access namespace that keeps one."""

import base64
import binascii
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from berth_core import names
from berth_core.kube.types import Object

LONGEST_KEY: Final = 16_384
"""Characters of a public key with its comment: an RSA key of 16,384 bits has about 2,800."""
_CHECKED: Final = frozenset(
    {"ssh-ed25519", "ssh-rsa", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"}
)
_HARDWARE: Final = frozenset({"sk-ssh-ed25519@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com"})

KEY_BITS: Final = 2048


@dataclass(frozen=True, repr=False)
class KeyPair:
    """``private`` is PKCS#1 PEM with a final newline (public clients load nothing else); ``public`` is one line."""

    private: str
    public: str


def make_key_pair() -> KeyPair:
    """Make an RSA pair. Takes some ten milliseconds of one core, without holding the interpreter."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=KEY_BITS)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return KeyPair(private.decode(), public.decode())


def key_secret(namespace: str, instance_id: str, pair: KeyPair) -> Object:
    """Manifest of the Secret with the private key that was made for an instance; it names the public one."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": names.instance_object(instance_id),
            "namespace": namespace,
            "labels": {names.INSTANCE_LABEL: instance_id, names.MANAGED_BY_LABEL: names.MANAGED_BY},
            "annotations": {names.PUBLIC_KEY_ANNOTATION: pair.public},
        },
        "type": "Opaque",
        "immutable": True,
        "data": {names.PRIVATE_KEY: base64.b64encode(pair.private.encode()).decode()},
    }


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
        raise ValueError("the key behind the type is not base64") from error
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
