"""The page of the docs that says how soon each mutant is found."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .mutating import Mutant

PAGE: Final = Path(__file__).parents[2] / "docs/explanation/mutants.md"
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


def rows() -> dict[str, str]:
    """Rows of the table as it stands, by the mutant, where it is, and its set."""
    told = PAGE.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0]
    return {_key(line): line for line in told.splitlines(keepends=True) if "`" in line}


def write(hunts: Sequence[Hunt], mutants: Sequence[Mutant], seed: int) -> None:
    """Put what became of some mutants into the page; rows of the others stay, those of former mutants go."""
    known = rows() | {_key(hunt.row): hunt.row for hunt in hunts if hunt.played}
    kept = [known.get(_key(Hunt(mutant).row), Hunt(mutant).row) for mutant in mutants]
    found = sum("| not in " not in row for row in kept)
    table = f"{found} of {len(kept)} mutants are found, with seed {seed}.\n\n{HEAD}{''.join(kept)}"
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n{table}\n{END}{rest.partition(END)[2]}", encoding="utf-8")


def _key(row: str) -> str:
    return "|".join(row.split("|")[1:4])
