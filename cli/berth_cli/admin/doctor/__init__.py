"""``berth doctor``: gathers facts first, then judges them by small pure checks. Writes nothing."""
