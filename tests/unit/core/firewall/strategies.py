"""Rules that meet each other: drawn from few prefixes, so that they nest, repeat and touch."""

from ipaddress import IPv4Network, IPv6Network

from hypothesis import strategies as st

from berth_core.firewall import Action, Network, Rule

_TOPS = {4: 0xCB007100, 6: 0x20010DB8 << 96}
_BITS = {4: 32, 6: 128}


@st.composite
def networks(draw: st.DrawFn, version: int) -> Network:
    """Near one another, or anywhere."""
    bits = _BITS[version]
    length = draw(st.integers(0, bits) | st.integers(bits - 6, bits))
    value = draw(st.integers(0, 63).map(lambda low: _TOPS[version] | low) | st.integers(0, 2**bits - 1))
    first = value >> (bits - length) << (bits - length)
    return IPv4Network((first, length)) if version == 4 else IPv6Network((first, length))


def rules(max_size: int = 40) -> st.SearchStrategy[list[Rule]]:
    """Lists of rules of both IP versions."""
    one = st.builds(Rule, networks(4) | networks(6), st.sampled_from(Action))
    return st.lists(one, max_size=max_size)
