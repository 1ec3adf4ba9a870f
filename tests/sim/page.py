"""The page of the docs that says how soon each mutant is found."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .mutating import Mutant

PAGE: Final = Path(__file__).parents[2] / "docs" / "mutants.md"
BEGIN: Final = "<!-- made by make prove-mutants -->\n"
END: Final = "<!-- end -->\n"
HEAD: Final = "| Mutant | In | Set | Histories until found | Breaks |\n|---|---|---|---|---|\n"


@dataclass(frozen=True)
class Hunt:
    """How far the hunt for one mutant has come."""

    mutant: Mutant
    played: int = 0
    found: bool = False
    """Whether the last history that was played broke something."""
    what: str = ""
    """Which invariant."""

    @property
    def row(self) -> str:
        """Of the table."""
        shown = str(self.played) if self.found else f"not in {self.played}"
        mutant = self.mutant
        return f"| {mutant.name} | `{mutant.where}` | {mutant.which} | {shown} | {self.what} |\n"


def write(table: str) -> None:
    """Put the table into the page of the docs."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n{table}\n{END}{rest.partition(END)[2]}", encoding="utf-8")
