"""The one error that a person sees: a single line that says what to do."""


class ClusterError(Exception):
    """Something the person at the terminal can put right; its text is one line and says how."""
