"""Compiles rules to the smallest equivalent sets of networks, for enforcers that know only networks.

The rules' prefixes form a tree (two prefixes are nested or apart). Each node gets the colour, accepted or not, of
the first rule that covers it; between a node and its child lie only siblings of the node's colour. One pass over
the tree finds the smallest sets, in time that grows with the number of rules and not with the number of addresses.
"""

from bisect import bisect_left
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network

from berth_core.firewall.model import Action, Network, Rule, of_version

_BITS = {4: 32, 6: 128}
_ACCEPTED = frozenset({Action.ACCEPT})


@dataclass(frozen=True, slots=True)
class IPBlock:
    """Addresses of ``cidr`` without those of ``except_``, as in a NetworkPolicy's ipBlock."""

    cidr: Network
    except_: tuple[Network, ...] = ()


@dataclass(frozen=True, slots=True)
class _Node:
    """A prefix: ``value`` has its ``length`` leading bits, right-aligned."""

    value: int
    length: int
    colour: bool
    children: "tuple[_Node, ...]"
    uniform: bool
    """All of the prefix has the node's colour."""


_Prefix = tuple[int, int]
"""(leading bits, how many of them)"""


@dataclass(frozen=True, slots=True)
class _Plan:
    """How to express a subtree: blocks (prefix, holes) to add, and holes to cut out of the block open around it."""

    cost: int = 0
    blocks: tuple[tuple[_Prefix, tuple[_Prefix, ...]], ...] = ()
    holes: tuple[_Prefix, ...] = ()

    def __add__(self, other: "_Plan") -> "_Plan":
        return _Plan(self.cost + other.cost, self.blocks + other.blocks, self.holes + other.holes)


def accepted_set(rules: Sequence[Rule], actions: Collection[Action] = _ACCEPTED) -> list[Network]:
    """Smallest list of networks whose union is what the rules accept (first match decides), IPv4 first, sorted."""
    networks: list[Network] = []
    for version in (4, 6):
        if root := _tree(rules, version, actions):
            prefixes = sorted(_first(version, prefix) for prefix in _accepted(root))
            networks += [_network(version, prefix) for prefix in prefixes]
    return networks


def ip_blocks(rules: Sequence[Rule], actions: Collection[Action] = _ACCEPTED) -> list[IPBlock]:
    """Blocks with exceptions whose union is what the rules accept; the fewest CIDRs in sum, exceptions counted."""
    result: list[IPBlock] = []
    for version in (4, 6):
        root = _tree(rules, version, actions)
        if root is None:
            continue
        outside, _ = _plans(root)
        blocks = sorted((_first(version, cidr), sorted(_first(version, hole) for hole in holes))
                        for cidr, holes in outside.blocks)  # fmt: skip
        result += [IPBlock(_network(version, cidr), tuple(_network(version, hole) for hole in holes))
                  for cidr, holes in blocks]  # fmt: skip
    return result


def _first(version: int, prefix: _Prefix) -> tuple[int, int]:
    """Return first address and prefix length."""
    value, length = prefix
    return value << (_BITS[version] - length), length


def _network(version: int, base: tuple[int, int]) -> Network:
    return IPv4Network(base) if version == 4 else IPv6Network(base)


def _tree(rules: Sequence[Rule], version: int, actions: Collection[Action]) -> _Node | None:
    """Tree of one IP version; None without rules for it, which accepts nothing."""
    order: dict[_Prefix, int] = {}
    chosen = of_version(rules, version)
    for index, rule in enumerate(chosen):
        order.setdefault((int(rule.source.network_address), rule.source.prefixlen), index)
    if not order:
        return None
    colours = [rule.action in actions for rule in chosen] + [False]
    prefixes = sorted({(0, 0), *order})
    return _grow(prefixes, order, colours, _BITS[version], len(chosen))


def _grow(prefixes: list[_Prefix], order: dict[_Prefix, int], colours: list[bool], bits: int, best: int) -> _Node:
    """Node over sorted (address, length) prefixes; ``best`` is the first rule that covers all of them."""
    (low, length), (high, _) = prefixes[0], prefixes[-1]
    length = min(length, prefixes[-1][1], bits - (low ^ high).bit_length())
    top = (low >> (bits - length) << (bits - length), length)
    best = min(best, order.get(top, best))
    inner = prefixes[1:] if prefixes[0] == top else prefixes
    children: list[_Node] = []
    if inner:
        middle = top[0] | (1 << (bits - length - 1))
        cut = bisect_left(inner, (middle, 0))
        children = [_grow(part, order, colours, bits, best) for part in (inner[:cut], inner[cut:]) if part]
    return _node(top[0] >> (bits - length), length, colours[best], tuple(children))


def _node(value: int, length: int, colour: bool, children: tuple[_Node, ...]) -> _Node:
    """Make a node without redundant children; two halves of one colour make the whole of that colour."""
    halves = [child for child in children if child.uniform and child.length == length + 1]
    if len(halves) == 2 and halves[0].colour == halves[1].colour:
        return _Node(value, length, halves[0].colour, (), uniform=True)
    kept = tuple(child for child in children if not (child.uniform and child.colour == colour))
    return _Node(value, length, colour, kept, uniform=not kept)


def _halves(node: _Node) -> Iterator[tuple[_Prefix, _Node | None]]:
    """Both halves of a node, each with the child in it, if any."""
    children = {child.value >> (child.length - node.length - 1): child for child in node.children}
    for half in (node.value << 1, node.value << 1 | 1):
        yield (half, node.length + 1), children.get(half)


def _beside(child: _Node, length: int) -> Iterator[_Prefix]:
    """Yield the prefixes that, with the child, make up the prefix of ``length`` bits around it."""
    for longer in range(length + 1, child.length + 1):
        yield (child.value >> (child.length - longer)) ^ 1, longer


def _accepted(node: _Node) -> list[_Prefix]:
    """Largest prefixes that are accepted throughout, sorted by address."""
    if node.uniform:
        return [(node.value, node.length)] if node.colour else []
    prefixes: list[_Prefix] = []
    for half, child in _halves(node):
        if child is not None:
            prefixes += _accepted(child)
        if node.colour:
            prefixes += [half] if child is None else _beside(child, half[1])
    return prefixes


def _plans(node: _Node) -> tuple[_Plan, _Plan]:
    """Cheapest plans for a node when no block is open around it, and when one is."""
    if node.uniform:
        return _uniform((node.value, node.length), node.colour)
    outside, inside = _Plan(), _Plan()
    for half, child in _halves(node):
        out, within = _uniform(half, node.colour) if child is None else _edge(half, child, node.colour)
        outside, inside = outside + out, inside + within
    return _switch((node.value, node.length), outside, inside)


def _edge(half: _Prefix, child: _Node, colour: bool) -> tuple[_Plan, _Plan]:
    """Plans for a half whose only content of another colour is a child somewhere in it."""
    outside, inside = _plans(child)
    beside = tuple(_beside(child, half[1]))
    if colour:
        outside += _Plan(len(beside), blocks=tuple((prefix, ()) for prefix in beside))
    else:
        inside += _Plan(len(beside), holes=beside)
    return _switch(half, outside, inside)


def _uniform(prefix: _Prefix, colour: bool) -> tuple[_Plan, _Plan]:
    if colour:
        return _Plan(1, blocks=((prefix, ()),)), _Plan()
    return _Plan(), _Plan(1, holes=(prefix,))


def _switch(prefix: _Prefix, outside: _Plan, inside: _Plan) -> tuple[_Plan, _Plan]:
    """Open a block over the whole prefix, or cut it out whole, where that is cheaper."""
    if inside.cost + 1 < outside.cost:
        opened = _Plan(inside.cost + 1, blocks=(*inside.blocks, (prefix, inside.holes)))
        return opened, inside
    if outside.cost + 1 < inside.cost:
        return outside, _Plan(outside.cost + 1, blocks=outside.blocks, holes=(prefix,))
    return outside, inside
