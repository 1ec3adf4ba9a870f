from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from berth_agent.identity import epoch_in
from berth_core import names


def certificate(*dns: str, common_name: str = "agent") -> bytes:
    """A self-signed certificate in DER."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(days=1))
    if dns:
        names_ = [x509.DNSName(one) for one in dns]
        builder = builder.add_extension(x509.SubjectAlternativeName(names_), critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


PODS = (names.instance_object("0190a0b0-0000-7000-8000-000000000001"), names.warm_object("0190a0b0-5000", 10**15))


@pytest.mark.parametrize("pod", PODS)
@pytest.mark.parametrize("epoch", [0, 1, 42, 10**15])
def test_the_epoch_is_read_from_the_name_that_the_core_spells(epoch: int, pod: str) -> None:
    dns = names.agent_dns(pod, epoch)
    assert epoch_in(certificate("localhost", dns, "other.example")) == epoch


@pytest.mark.parametrize(
    "dns",
    [
        (),
        ("agent.berth.internal",),
        ("e3.i-x.agent.berth.internal.example",),
        ("xe3.i-x.agent.berth.internal",),
        ("e3.i-x.agent.berth.internal", "e4.i-x.agent.berth.internal"),
    ],
)
def test_a_certificate_without_exactly_one_such_name_is_refused(dns: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="DNS name"):
        epoch_in(certificate(*dns))


def test_the_common_name_does_not_count() -> None:
    with pytest.raises(ValueError, match="DNS name"):
        epoch_in(certificate(common_name="e3.i-x.agent.berth.internal"))
