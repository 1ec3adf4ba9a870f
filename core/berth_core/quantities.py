"""Amounts of resources as Kubernetes writes them, such as `500m`, `2` and `1Gi`. Pure."""

import re
from decimal import Decimal
from typing import Final

EPHEMERAL_STORAGE: Final = "ephemeral-storage"
"""Name of a node's disk among resources."""
_FORM: Final = re.compile(r"([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+))(?:[eE]([+-]?[0-9]{1,3})|([numkMGTPE]|[KMGTPE]i)?)")
_DECIMAL: Final = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY: Final = {f"{letter}i": power for power, letter in enumerate("KMGTPE", start=1)}


def parse(text: str | int) -> Decimal:
    """Read an amount. Raises ValueError."""
    match = _FORM.fullmatch(str(text))
    if match is None:
        raise ValueError(f"{text!r} is no quantity")
    number, exponent, suffix = Decimal(match[1]), match[2], match[3] or ""
    if suffix in _BINARY:
        return number * Decimal(1024 ** _BINARY[suffix])
    return number.scaleb(int(exponent) if exponent else _DECIMAL[suffix])


def larger(amount: str | int, other: str | int) -> str | int:
    """Return the larger of two amounts; the first where one is malformed: the cluster refuses it with a message."""
    try:
        return amount if parse(amount) >= parse(other) else other
    except ValueError:
        return amount
