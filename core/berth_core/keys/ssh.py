"""Key pairs that Berth makes for users who bring no key, and the Secret in the access namespace that keeps one."""

import base64
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from berth_core import names
from berth_core.kube.types import Object

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
