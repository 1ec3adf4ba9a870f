"""A hook of mkdocs: links of pages that leave docs/ lead to the repository."""

import os.path
import re
from pathlib import Path
from typing import Any, Final

LINK: Final = re.compile(r"\[([^\]\n]*)\]\((\.\.[^)#\s]*)(#[^)\s]*)?\)")
"""A relative link that goes up: its label, its path, its anchor."""


def on_page_markdown(markdown: str, *, page: Any, config: Any, **_: Any) -> str:
    """Rewrite the links of one page. mkdocs calls this for each."""
    return rewritten(markdown, Path(page.file.src_uri).parent, config["repo_url"])


def rewritten(markdown: str, folder: Path, repository: str | None) -> str:
    """Return a page of a folder of docs/ with the links of the site; without a repository such a label stands alone."""

    def link(match: re.Match[str]) -> str:
        label, path, anchor = match[1], match[2], match[3] or ""
        target = os.path.normpath(Path("docs") / folder / path)
        if target.startswith("docs/"):
            return match[0]
        return f"[{label}]({repository}/blob/main/{target}{anchor})" if repository else label

    return LINK.sub(link, markdown)
