"""Which deployment may have which endpoints of machines (ADR 0049)."""
