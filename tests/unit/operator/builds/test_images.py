"""Which images scripts may run in."""

import pytest

from berth_operator.builds.images import why_not


@pytest.mark.parametrize(
    ("image", "allowed"),
    [
        ("debian", "docker.io/library"),
        ("debian:12-slim", "docker.io/library"),
        ("index.docker.io/debian", "docker.io/library/debian"),
        ("ghcr.io/lab/arm@sha256:" + "a" * 64, "ghcr.io/lab/"),
        ("registry.lab.example:5000/arm:3", "registry.lab.example:5000"),
        ("10.1.2.3:5000/arm", "10.1.2.3:5000"),
        ("Host/arm", "host"),
        ("quay.io/any/thing", "*"),
        ("localhost/arm:dev", "localhost"),
    ],
)
def test_what_begins_as_the_administrator_says_is_allowed(image: str, allowed: str) -> None:
    assert why_not(image, ["nothing.example", allowed]) == ""


@pytest.mark.parametrize(
    ("image", "allowed"),
    [
        ("lab/debian", "docker.io/library"),
        ("docker.io.evil.example/library/debian", "docker.io"),
        ("docker.io:5000/library/debian", "docker.io/library"),
        ("ghcr.io/laboratory/arm", "ghcr.io/lab"),
        ("evil.example/docker.io/library/debian", "docker.io/library"),
        ("debian", "*.io"),
        ("10.1.2.3:5000/arm", "*"),
        ("10.1.2.3/arm", "*"),
        ("127.1:22/arm", "*"),
        ("2130706433:22/arm", "*"),
        ("0x7f.1:22/arm", "*"),
        ("10.1.2.3.:22/arm", "*"),
        ("[::1]:22/arm", "*"),
        ("localhost:10250/arm", "*"),
        ("localhost/arm", "*"),
        ("registry.localhost:5000/arm", "*"),
        ("[::ffff:10.1.2.3]/arm", "*"),
    ],
)
def test_all_else_is_refused_and_addresses_unless_they_are_named(image: str, allowed: str) -> None:
    assert "ci.allowedImages" in why_not(image, [allowed]) or "is no image's name" in why_not(image, [allowed])


@pytest.mark.parametrize(
    "image", ["", "-", "docker.io/", "docker.io/library/../x", "a b", "debian:", "http://x.test/a", "debian\n", "//a"]
)
def test_what_is_no_name_is_refused_whatever_is_allowed(image: str) -> None:
    assert "correct `image` in .berth.yml" in why_not(image, ["*", "docker.io", ""])
