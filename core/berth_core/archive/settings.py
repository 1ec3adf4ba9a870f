"""Where the archive is, as the environment says."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

_BUCKET, _FOLDER = "s3", "file"


@dataclass(frozen=True)
class ArchiveSettings:
    """Where the archive is: :func:`archive_settings` reads the variables."""

    folder: Path | None = None
    bucket: str = ""
    prefix: str = ""
    endpoint: str = ""
    """Of a bucket that is not Amazon's."""
    region: str = "us-east-1"
    ca_file: Path | None = None
    """Certificates of authorities that the endpoint is trusted by; None for the usual ones."""
    key_id: str = ""
    secret: str = field(default="", repr=False)


def archive_settings(environment: Mapping[str, str]) -> ArchiveSettings | None:
    """Read the variables; None where there is no archive. ValueError names the one that is malformed."""
    text = (environment.get("BERTH_ARCHIVE") or "").strip()
    if not text:
        return None
    url = urlsplit(text)
    if url.scheme == _FOLDER and not url.netloc and url.path.startswith("/"):
        return ArchiveSettings(folder=Path(url.path))
    if url.scheme != _BUCKET or not url.netloc or url.query or url.fragment:
        raise ValueError(f"BERTH_ARCHIVE is {text!r}; write s3://BUCKET/PREFIX or file:///FOLDER")
    endpoint = (environment.get("BERTH_ARCHIVE_ENDPOINT") or "").rstrip("/")
    if endpoint and urlsplit(endpoint).scheme not in ("http", "https"):
        raise ValueError(f"BERTH_ARCHIVE_ENDPOINT is {endpoint!r}; write a URL such as https://s3.example.org")
    ca_file = environment.get("BERTH_ARCHIVE_CA_FILE")
    return ArchiveSettings(
        bucket=url.netloc,
        prefix=url.path.strip("/"),
        endpoint=endpoint,
        region=environment.get("BERTH_ARCHIVE_REGION") or "us-east-1",
        ca_file=Path(ca_file) if ca_file else None,
        key_id=environment.get("BERTH_ARCHIVE_KEY_ID") or "",
        secret=environment.get("BERTH_ARCHIVE_SECRET") or "",
    )
