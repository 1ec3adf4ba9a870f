"""Tokens, each by name: those that count, and those that are forged, broken or misdirected."""

import json
import time
from collections.abc import Callable
from typing import Any

import jwt
from cryptography.hazmat.primitives import hashes, hmac, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding

from berth_api.auth.jws import LONGEST_TOKEN
from berth_api.config import Provider

from ....envtest.api.signing import Signer, part

DAY = 86400
LIFE = 30 * DAY
OURS = Signer(kid="ours")
SECOND = Signer(kid="second")
THEIRS = Signer(kid="theirs")
SHARED = Signer(kid="ours")
"""A key of the provider that has the kid of one of ours."""
STRANGER = Signer(kid="ours")
PROVIDER = Provider("https://login.example.test", "berth", "http://192.0.2.1/jwks", "oidc:", None)
HUGE = "9" * 400


def now() -> int:
    return int(time.time())


def provided(signer: Signer = THEIRS, **claims: Any) -> str:
    """A token of the provider."""
    return signer.token(**{"iss": PROVIDER.issuer, "user": "alice"} | claims)


def signed(header: bytes | dict[str, Any], payload: bytes | dict[str, Any] | None = None) -> str:
    """Any bytes as header and payload, with a signature of ours that holds."""
    given = {"sub": "alice", "iss": "berth", "aud": "berth", "exp": now() + 60} if payload is None else payload
    text = f"{part(header)}.{part(given)}"
    return f"{text}.{part(OURS.key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


def raw(claims: str) -> str:
    """A token of ours whose claims have this text added."""
    text = f'{{"sub":"alice","iss":"berth","aud":"berth","exp":{now() + 60}{claims}}}'
    return signed(HEADER, text.encode())


def header(**changes: Any) -> str:
    """A token of ours with another header; None leaves a parameter out."""
    return signed({name: value for name, value in (HEADER | changes).items() if value is not None})


def with_mac(key: bytes) -> str:
    text = f"{part(HEADER | {'alg': 'HS256'})}.{OURS.token().split('.')[1]}"
    mac = hmac.HMAC(key, hashes.SHA256())
    mac.update(text.encode())
    return f"{text}.{part(mac.finalize())}"


def public(form: serialization.PublicFormat, encoding: serialization.Encoding) -> bytes:
    return OURS.key.public_key().public_bytes(encoding, form)


def with_algorithm(algorithm: str, key: Any = OURS.key) -> str:
    claims = {"sub": "alice", "iss": "berth", "aud": "berth", "exp": now() + 60}
    return jwt.encode(claims, key, algorithm, {"kid": "ours"})


def altered(index: int, change: Callable[[str], str]) -> str:
    parts = OURS.token().split(".")
    parts[index] = change(parts[index])
    return ".".join(parts)


def with_dropped_bits(text: str) -> str:
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return text[:-1] + alphabet[alphabet.index(text[-1]) ^ 1]


HEADER: dict[str, Any] = {"alg": "RS256", "kid": "ours", "typ": "JWT"}
PEM, DER = serialization.Encoding.PEM, serialization.Encoding.DER
SPKI, PKCS1 = serialization.PublicFormat.SubjectPublicKeyInfo, serialization.PublicFormat.PKCS1

WRONG: dict[str, Callable[[], str]] = {
    # algorithms (RFC 8725, 3.1 and 3.2)
    "no signature, alg none": lambda: f"{part(HEADER | {'alg': 'none'})}.{OURS.token().split('.')[1]}.",
    "alg none over a signature that holds": lambda: header(alg="none"),
    "alg NONE over a signature that holds": lambda: header(alg="NONE"),
    "alg in small letters": lambda: header(alg="rs256"),
    "no alg": lambda: header(alg=None),
    "alg is a list": lambda: header(alg=["RS256"]),
    "HS256 with the public key's PEM": lambda: with_mac(public(SPKI, PEM)),
    "HS256 with the public key's DER": lambda: with_mac(public(SPKI, DER)),
    "HS256 with the public key's PKCS#1": lambda: with_mac(public(PKCS1, PEM)),
    "HS256 with no key at all": lambda: with_mac(b""),
    "RS384": lambda: with_algorithm("RS384"),
    "RS512": lambda: with_algorithm("RS512"),
    "PS256": lambda: with_algorithm("PS256"),
    "ES256": lambda: with_algorithm("ES256", ec.generate_private_key(ec.SECP256R1())),
    "EdDSA": lambda: with_algorithm("EdDSA", ed25519.Ed25519PrivateKey.generate()),
    # keys (RFC 8725, 3.10)
    "a key of its own as jwk": lambda: STRANGER.token(header={"jwk": STRANGER.jwk()}),
    "our key as jwk": lambda: header(jwk=OURS.jwk()),
    "jku": lambda: header(jku="https://evil.example.test/jwks"),
    "x5u": lambda: header(x5u="https://evil.example.test/cert"),
    "x5c": lambda: header(x5c=["AAAA"]),
    "another key with our kid": STRANGER.token,
    "our key with another's kid": lambda: header(kid="second"),
    "unknown kid": lambda: header(kid="third"),
    "kid of a path": lambda: header(kid="../../ours"),
    "kid with other letters": lambda: header(kid="OURS"),
    "empty kid": lambda: header(kid=""),
    "no kid": lambda: header(kid=None),
    "kid is a number": lambda: header(kid=1),
    "kid is an object": lambda: header(kid={"ours": True}),
    # headers
    "crit": lambda: header(crit=["exp"]),
    "empty crit": lambda: header(crit=[]),
    "b64 false": lambda: header(b64=False, crit=["b64"]),
    "b64 without crit": lambda: header(b64=False),
    "zip": lambda: header(zip="DEF"),
    "enc": lambda: header(enc="A256GCM"),
    "cty, a token in a token": lambda: header(cty="JWT"),
    "typ of a logout token": lambda: header(typ="logout+jwt"),
    "typ of a security event": lambda: header(typ="secevent+jwt"),
    "typ of a proof of possession": lambda: header(typ="dpop+jwt"),
    "typ JWS": lambda: header(typ="JOSE"),
    "typ is null": lambda: signed(HEADER | {"typ": None}),
    "alg twice": lambda: signed(b'{"alg":"RS256","alg":"RS256","kid":"ours"}'),
    "kid twice": lambda: signed(b'{"alg":"RS256","kid":"theirs","kid":"ours"}'),
    "header is a list": lambda: signed(b'["RS256"]'),
    "header is no JSON": lambda: signed(b"RS256"),
    # spelling
    "last bits of the signature differ": lambda: altered(2, with_dropped_bits),
    "padding": lambda: OURS.token() + "==",
    "standard base64": lambda: altered(2, lambda text: text[:-4] + "+/+/"),
    "a line break": lambda: altered(1, lambda text: text[:8] + "\n" + text[8:]),
    "a line break at the end": lambda: OURS.token() + "\n",
    "a letter that looks alike": lambda: altered(1, lambda text: "\u0435" + text[1:]),
    "one character too many": lambda: altered(2, lambda text: text + "A"),
    "two parts": lambda: OURS.token().rpartition(".")[0],
    "four parts": lambda: OURS.token() + ".AAAA",
    "five parts, encrypted": lambda: ".".join(["AAAA"] * 5),
    "empty signature": lambda: altered(2, lambda _: ""),
    "empty": lambda: "",
    "oversize": lambda: OURS.token(padding="x" * LONGEST_TOKEN),
    # what was signed
    "claims were changed": lambda: altered(1, lambda _: part({"sub": "root", "su": True})),
    "signature of another token": lambda: altered(2, lambda _: OURS.token("bob").split(".")[2]),
    "signature of zeros": lambda: altered(2, lambda _: part(bytes(256))),
    "short signature": lambda: altered(2, lambda _: part(b"x")),
    # claims as JSON
    "claims are a list": lambda: signed(HEADER, b"[]"),
    "claims are no JSON": lambda: signed(HEADER, b"sub=alice"),
    "claims are UTF-16": lambda: signed(HEADER, json.dumps({"sub": "alice"}).encode("utf-16")),
    "claims are no UTF-8": lambda: signed(HEADER, b'{"sub":"\xff"}'),
    "byte order mark": lambda: signed(HEADER, b"\xef\xbb\xbf{}"),
    "sub twice": lambda: raw(',"sub":"root"'),
    "su twice": lambda: raw(',"su":false,"su":true'),
    "a name twice further down": lambda: raw(',"opt":{"expire_d":1,"expire_d":2}'),
    "a name twice by an escape": lambda: raw(',"su":false,"\\u0073u":true'),
    "nested too deeply": lambda: raw(f',"x":{"[" * 1010}{"]" * 1010}'),
    "nested beyond what is read": lambda: raw(f',"x":{"[" * 2000}{"]" * 2000}'),
    "a lone surrogate": lambda: raw(',"org":"\\ud800"'),
    # times
    "expired": lambda: OURS.token(exp=now() - 1),
    "expired this second": lambda: OURS.token(exp=now()),
    "no exp": lambda: OURS.token(exp=None),
    "exp is null": lambda: signed(HEADER, {"sub": "alice", "iss": "berth", "aud": "berth", "exp": None}),
    "exp is text": lambda: OURS.token(exp=str(now() + 60)),
    "exp is true": lambda: OURS.token(exp=True),
    "exp is a list": lambda: OURS.token(exp=[now() + 60]),
    "exp is NaN": lambda: signed(HEADER, claims_with("NaN")),
    "exp is Infinity": lambda: signed(HEADER, claims_with("Infinity")),
    "exp is 1e400": lambda: signed(HEADER, claims_with("1e400")),
    "exp has 400 digits": lambda: signed(HEADER, claims_with(HUGE)),
    "exp is 1e300": lambda: signed(HEADER, claims_with("1e300")),
    "exp is negative": lambda: OURS.token(exp=-1),
    "exp beyond the longest life": lambda: OURS.token(exp=now() + LIFE + 60),
    "nbf ahead": lambda: OURS.token(nbf=now() + 60),
    "nbf is text": lambda: OURS.token(nbf="0"),
    "iat ahead": lambda: OURS.token(iat=now() + 60),
    "iat is true": lambda: OURS.token(iat=True),
    # issuer and audience (RFC 8725, 3.8 and 3.9)
    "another issuer": lambda: OURS.token(iss="elsewhere"),
    "no issuer": lambda: OURS.token(iss=None),
    "a list of issuers": lambda: signed(HEADER, audience("berth") | {"iss": ["berth"]}),
    "issuer with a slash": lambda: OURS.token(iss="berth/"),
    "another audience": lambda: OURS.token(aud="elsewhere"),
    "no audience": lambda: OURS.token(aud=None),
    "no audience in the list": lambda: OURS.token(aud=[]),
    "audience in a list of lists": lambda: signed(HEADER, audience([["berth"]])),
    "audience beside something else": lambda: signed(HEADER, audience(["berth", 1])),
    "audience is an object": lambda: signed(HEADER, audience({"berth": True})),
    # users
    "no user": lambda: OURS.token(None),
    "empty user": lambda: OURS.token(""),
    "user is a number": lambda: signed(HEADER, audience("berth") | {"sub": 7}),
    "user is a list": lambda: signed(HEADER, audience("berth") | {"sub": ["alice"]}),
    "user with a line break": lambda: OURS.token("alice\nsu: true"),
    "user with an invisible character": lambda: OURS.token("alice\u200b"),
    "user of 254 characters": lambda: OURS.token("x" * 254),
    "our token for a user of the provider": lambda: OURS.token("oidc:alice"),
    # claims of Berth's own
    "su is text": lambda: OURS.token(su="true"),
    "su is 1": lambda: OURS.token(su=1),
    "org is a list": lambda: OURS.token(org=["lab"]),
    "in is no id": lambda: OURS.token(**{"in": "*"}),
    "sc is an object": lambda: OURS.token(sc={"rw": True}),
    "sc is null": lambda: signed(HEADER, audience("berth") | {"sc": None}),
    "wt holds a number": lambda: OURS.token(wt=[1]),
    "opt is a list": lambda: OURS.token(opt=[]),
    "expire_d is text": lambda: OURS.token(opt={"expire_d": "60"}),
    "expire_d is null": lambda: OURS.token(opt={"expire_d": None}),
    "expire_d is 0": lambda: OURS.token(opt={"expire_d": 0}),
    "expire_d is a fraction": lambda: OURS.token(opt={"expire_d": 0.5}),
    # one issuer for the other
    "the provider's key, our issuer": lambda: THEIRS.token(),
    "our key, the provider's issuer": lambda: provided(OURS),
    "the provider's key with our kid, our issuer": lambda: SHARED.token(),
    "our key with the provider's kid, the provider's issuer": lambda: provided(Signer("theirs", OURS.key)),
    "the provider's issuer with a slash": lambda: provided(iss=PROVIDER.issuer + "/"),
    "the provider's token for somebody else": lambda: provided(aud="another-client"),
    "the provider's token, expired": lambda: provided(exp=now() - 1),
    "the provider's token without a user": lambda: provided(user=None),
    "the provider's token, 250 characters": lambda: provided(user="x" * 250),
    "the provider's token beyond the longest life": lambda: provided(exp=now() + LIFE + 60),
}


def claims_with(expiry: str) -> bytes:
    return f'{{"sub":"alice","iss":"berth","aud":"berth","exp":{expiry}}}'.encode()


def audience(value: object) -> dict[str, Any]:
    return {"sub": "alice", "iss": "berth", "aud": value, "exp": now() + 60}


RIGHT: dict[str, Callable[[], str]] = {
    "plain": OURS.token,
    "the second key": SECOND.token,
    "built by hand": lambda: signed(HEADER),
    "no typ": lambda: header(typ=None),
    "typ in small letters": lambda: header(typ="jwt"),
    "typ of an access token": lambda: header(typ="at+jwt"),
    "typ written out": lambda: header(typ="application/at+jwt"),
    "thumbprint of a certificate": lambda: header(x5t="AAAA"),
    "unknown header parameter": lambda: header(nonce="x"),
    "unknown claim": lambda: OURS.token(jti="x", azp=1),
    "several audiences": lambda: OURS.token(aud=["elsewhere", "berth"]),
    "iat a little ahead": lambda: OURS.token(iat=now() + 3),
    "nbf and iat with fractions": lambda: OURS.token(nbf=now() - 0.5, iat=now() - 0.25),
    "no iat": lambda: OURS.token(iat=None),
    "exp at the longest life": lambda: OURS.token(exp=now() + LIFE),
    "names that are equal in different objects": lambda: raw(',"opt":{"sub":1},"x":{"sub":2}'),
}
