"""The one error that people see: a single line that says what to do."""


class ClusterError(Exception):
    """A fault that the user can mend; its text is one line and says how."""
