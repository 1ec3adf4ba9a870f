"""The end of a long text, cut where a line begins. Pure but for its state."""


class Tail:
    """Takes a text in pieces and keeps about the last ``most`` bytes of it."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept = bytearray()
        self._skipped = 0

    @property
    def content(self) -> bytes:
        """The kept end of the text, ``most`` bytes at the most."""
        self._shorten()
        return bytes(self._kept)

    @property
    def skipped(self) -> int:
        """How many lines were dropped."""
        self._shorten()
        return self._skipped

    def add(self, piece: bytes) -> None:
        """Take a piece."""
        self._kept += piece
        if len(self._kept) > 2 * self._most:
            self._shorten()

    def close_line(self) -> None:
        """End a line that has begun."""
        if self._kept and not self._kept.endswith(b"\n"):
            self.add(b"\n")

    def _shorten(self) -> None:
        if len(self._kept) <= self._most:
            return
        cut = len(self._kept) - self._most
        if self._kept[cut - 1 : cut] != b"\n":
            border = self._kept.find(b"\n", cut)
            cut = border + 1 if border >= 0 else cut
        self._skipped += self._kept.count(b"\n", 0, cut)
        del self._kept[:cut]
