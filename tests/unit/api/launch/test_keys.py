"""Public keys that users bring, and pairs that are made for them."""

import asyncio
import base64

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from hypothesis import given
from hypothesis import strategies as st

from berth_api.launch.keys import KeyPool
from berth_core.keys.ssh import make_key_pair, parse_public_key

ED25519 = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ"


def openssh(key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | dsa.DSAPublicKey) -> str:
    return key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


def blob(*strings: bytes) -> str:
    return base64.b64encode(b"".join(len(s).to_bytes(4, "big") + s for s in strings)).decode()


@pytest.mark.parametrize(
    "key",
    [
        openssh(ed25519.Ed25519PrivateKey.generate().public_key()),
        openssh(rsa.generate_private_key(65537, 2048).public_key()),
        openssh(ec.generate_private_key(ec.SECP256R1()).public_key()),
        openssh(ec.generate_private_key(ec.SECP384R1()).public_key()),
        openssh(ec.generate_private_key(ec.SECP521R1()).public_key()),
        "sk-ssh-ed25519@openssh.com " + blob(b"sk-ssh-ed25519@openssh.com", b"k" * 32, b"ssh:"),
    ],
    ids=["ed25519", "rsa-2048", "nistp256", "nistp384", "nistp521", "sk-ed25519"],
)
def test_keys_that_sshd_takes_are_taken(key: str) -> None:
    assert parse_public_key(f"{key} me@laptop\n") == f"{key} me@laptop"
    assert parse_public_key(key) == key


@pytest.mark.parametrize(
    "key",
    [
        "",
        "ssh-ed25519",
        "ssh-ed25519 !!!!",
        ED25519[:-4],
        ED25519.replace("ssh-ed25519", "ssh-rsa", 1),
        f"{ED25519}\n{ED25519}",
        f"{ED25519} comment\x00",
        f'command="sh" {ED25519}',
        f"no-pty {ED25519}",
        "ssh-dss " + blob(b"ssh-dss", b"p", b"q", b"g", b"y"),
        "ssh-ed25519-cert-v01@openssh.com " + blob(b"ssh-ed25519-cert-v01@openssh.com", b"x"),
        "sk-ssh-ed25519@openssh.com " + blob(b"sk-ssh-ed25519@openssh.com") + "AAAA",
        openssh(rsa.generate_private_key(65537, 1024).public_key()),  # noqa: S505 (too short on purpose)
        f"{ED25519} {'x' * 20_000}",
    ],
)
def test_what_is_no_usable_key_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_public_key(key)


@given(st.text(max_size=200))
def test_no_text_makes_more_than_one_line(comment: str) -> None:
    try:
        line = parse_public_key(f"{ED25519} {comment}")
    except ValueError:
        return
    assert len(line.splitlines()) == 1
    assert line.startswith(ED25519)


def test_a_pair_is_pkcs1_and_belongs_together() -> None:
    pair = make_key_pair()
    assert pair.private.startswith("-----BEGIN RSA PRIVATE KEY-----\n")
    assert pair.private.endswith("-----END RSA PRIVATE KEY-----\n")
    key = load_pem_private_key(pair.private.encode(), None)
    assert isinstance(key, rsa.RSAPrivateKey)
    assert key.key_size == 2048
    assert openssh(key.public_key()) == parse_public_key(pair.public)
    assert "PRIVATE" not in repr(pair)


async def test_no_pair_is_given_twice() -> None:
    pool = KeyPool(size=2)
    filling = asyncio.create_task(pool.run())
    pairs = await asyncio.gather(*(pool.take() for _ in range(5)))
    filling.cancel()
    assert len({pair.public for pair in pairs}) == 5
