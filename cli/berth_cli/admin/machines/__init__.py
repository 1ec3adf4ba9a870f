"""``berth machine``: machines at addresses, and the walls around them."""
