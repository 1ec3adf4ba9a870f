"""Files that others read while they are written."""

import os


def replace(path: str, content: bytes, mode: int) -> None:
    """Replace a file in one step, so that a reader sees the text before or the text after."""
    draft = f"{path}.new"
    handle = os.open(draft, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_CLOEXEC, mode)
    with os.fdopen(handle, "wb") as file:
        os.fchmod(handle, mode)
        file.write(content)
    os.replace(draft, path)
