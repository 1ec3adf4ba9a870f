"""Claims, keys and access, without a process."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import strategies as st
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from berth_api.auth import access, claims, jwks
from berth_api.auth.identity import Identity
from berth_api.auth.jwks import KeyFile
from berth_api.auth.jws import decode_part
from berth_api.http.errors import BadRequestError, MissingError
from berth_core.resources import Instance, WorkspaceType

from ..samples import deployment

NOW = 1_800_000_000.0
ID = "00000000-0000-4000-8000-000000000001"
OTHER = "00000000-0000-4000-8000-000000000002"
ISSUER = claims.Issuer("i", "a", longest_life=366 * 86400)
KEY = rsa.generate_private_key(65537, 2048)


def read(**changes: Any) -> Identity:
    given_claims = {"sub": "alice", "iss": "i", "aud": "a", "exp": NOW + 60} | changes
    given_claims = {name: value for name, value in given_claims.items() if value is not ...}
    return claims.identity(given_claims, ISSUER, digest="d", now=NOW)


def identity(**fields: Any) -> Identity:
    defaults: dict[str, Any] = {"user": "alice", "digest": "d", "expires": NOW}
    return Identity(**defaults | fields)


@given(st.binary(max_size=60))
def test_bytes_have_one_spelling(data: bytes) -> None:
    text = base64.urlsafe_b64encode(data).rstrip(b"=").decode()
    assert decode_part(text) == data


@given(st.text(alphabet="ABCDwxyz0189-_+/=", max_size=12))
def test_a_text_that_decodes_is_its_own_spelling(text: str) -> None:
    try:
        data = decode_part(text)
    except ValueError:
        return
    assert base64.urlsafe_b64encode(data).rstrip(b"=").decode() == text


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": ...},
        {"iss": ["i"]},
        {"aud": []},
        {"aud": ["b"]},
        {"exp": ...},
        {"exp": NOW},
        {"exp": True},
        {"exp": None},
        {"exp": NOW + 366 * 86400 + 6},
        {"nbf": NOW + 6},
        {"nbf": "x"},
        {"iat": NOW + 6},
        {"iat": None},
        {"sub": ...},
        {"sub": 7},
        {"sub": ""},
        {"sub": "x" * 254},
        {"su": 1},
        {"su": None},
        {"org": 1},
        {"in": "x"},
        {"in": ID.replace("-", "")},
        {"sc": None},
        {"sc": [None]},
        {"wt": {}},
        {"opt": []},
        {"opt": {"expire_d": 0}},
        {"opt": {"expire_d": True}},
    ],
)
def test_a_claim_of_a_wrong_form_or_time_refuses_the_token(changes: dict[str, Any]) -> None:
    with pytest.raises(claims.ClaimError):
        read(**changes)


def test_claims_become_an_identity() -> None:
    plain = read()
    assert plain == Identity(user="alice", digest="d", expires=NOW + 60)
    full = read(su=True, org="lab", sc="r rw", wt=["arm"], opt={"expire_d": 60}, nbf=NOW + 5, iat=NOW)
    assert full.superuser
    assert not full.read_only
    assert (full.organisation, full.types, full.expire_d) == ("lab", frozenset({"arm"}), 60)
    assert read(sc=[]).read_only
    assert [read(**claims).may_own for claims in ({}, {"sc": "own"}, {"sc": ["rw", "own"]})] == [True] * 3
    assert [read(sc=scope).may_own for scope in ([], ["rw"], ["OWN"])] == [False] * 3
    assert read(sc=["RW"]).read_only
    assert read(wt=[]).types == frozenset()


def jwk(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, *, private: bool = False, **fields: Any) -> dict[str, Any]:
    algorithm = RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else ECAlgorithm
    chosen: Any = key if private else key.public_key()
    parsed: dict[str, Any] = json.loads(algorithm.to_jwk(chosen))
    return parsed | {"kid": "one"} | fields


def test_only_rsa_keys_for_signatures_count() -> None:
    listed = [
        jwk(KEY),
        jwk(KEY, kid="enc", use="enc"),
        jwk(KEY, kid="ps", alg="PS256"),
        jwk(ec.generate_private_key(ec.SECP256R1()), kid="ec"),
        {"kty": "oct", "k": "AAAA", "kid": "secret"},
    ]
    assert jwks.parse(json.dumps({"keys": listed}).encode()).keys() == {"one"}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        json.dumps({"keys": [jwk(KEY, private=True)]}),
        json.dumps({"keys": [jwk(KEY, kid="")]}),
        json.dumps({"keys": [{"kty": "RSA", "kid": "x", "n": "!", "e": "AQAB"}]}),
        json.dumps({"keys": [jwk(rsa.generate_private_key(65537, 1024))]}),  # noqa: S505 (too short on purpose)
    ],
    ids=["empty", "list", "no keys", "private key", "no kid", "damaged", "short"],
)
def test_a_file_that_was_made_by_mistake_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        jwks.parse(text.encode())


def test_a_broken_file_leaves_the_keys_before(tmp_path: Path) -> None:
    path = tmp_path / "jwks.json"
    keys = KeyFile(path)
    assert not keys.current(0)
    path.write_text(json.dumps({"keys": [jwk(KEY)]}))
    assert not keys.current(0.5)
    first = keys.current(2)
    assert first.keys() == {"one"}
    path.write_text("{")
    assert keys.current(4) is first
    path.write_text(json.dumps({"keys": [jwk(KEY, kid="two")]}))
    assert keys.current(6).keys() == {"two"}


def instance(user: str = "alice") -> Instance:
    return Instance.parse({"metadata": {"name": ID}, "spec": {"user": user, "workspaceType": "arm"}})


@pytest.mark.parametrize(
    ("who", "allowed"),
    [
        ({}, True),
        ({"superuser": True, "user": "root"}, True),
        ({"user": "friend", "instance": ID}, True),
        ({"user": "friend", "instance": OTHER}, False),
        ({"user": "Alice"}, False),
        ({"user": "alice "}, False),
    ],
)
def test_instances_are_their_owners(who: dict[str, Any], allowed: bool) -> None:
    if allowed:
        access.need_own(identity(**who), instance())
        return
    with pytest.raises(MissingError, match="instance not found"):
        access.need_own(identity(**who), instance())


def test_a_closed_type_is_for_owners_and_superusers() -> None:
    def kind(word: str) -> WorkspaceType:
        spec = {"typeName": "arm", "access": word, "template": {"image": "x"}}
        return WorkspaceType.parse({"metadata": {"name": "arm"}, "spec": spec})

    mine, other = deployment("mine", owners=["alice"]), deployment("other")
    assert access.may_instantiate(identity(), kind("open"), other, [])
    assert access.may_instantiate(identity(), kind("closed"), mine, [])
    assert not access.may_instantiate(identity(), kind("closed"), other, [])
    assert access.may_instantiate(identity(superuser=True), kind("closed"), other, [])


@pytest.mark.parametrize(
    ("only", "most", "asked", "expected"),
    [
        (None, None, None, None),
        (None, None, 60, 60),
        (None, 60, 60, 60),
        (None, 60, 61, "exceeds 60"),
        (30, None, None, 30),
        (30, None, 30, 30),
        (30, None, 60, "but 30"),
        (90, 60, None, "exceeds 60"),
    ],
)
def test_the_length_of_a_lease(
    only: int | None, most: int | None, asked: int | None, expected: int | str | None
) -> None:
    spec = {"typeName": "arm", "template": {"image": "x"}, "limits": {"maxExpireAfter": most} if most else {}}
    kind = WorkspaceType.parse({"metadata": {"name": "arm"}, "spec": spec})
    if isinstance(expected, str):
        with pytest.raises(BadRequestError, match=expected):
            access.expire_after(identity(expire_d=only), kind, asked)
    else:
        assert access.expire_after(identity(expire_d=only), kind, asked) == expected
