"""Location of the archive, from environment variables."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from berth_core.process.settings import SettingError, Settings

_BUCKET, _FOLDER = "s3", "file"
VARIABLES: Final = {
    "BERTH_ARCHIVE": "Place of logs and artifacts of builds: `s3://BUCKET/PREFIX` or `file:///FOLDER`; ConfigMaps where"
    " it is empty.",
    "BERTH_ARCHIVE_ENDPOINT": "URL of a bucket's S3 API; Amazon's where it is empty.",
    "BERTH_ARCHIVE_REGION": "Region of the bucket.",
    "BERTH_ARCHIVE_CA_FILE": "CA certificates (PEM) for the endpoint; the public authorities' where it is empty.",
    "BERTH_ARCHIVE_KEY_ID": "Credentials for the bucket; the surroundings' (`AWS_…`) where it is empty.",
    "BERTH_ARCHIVE_SECRET": "Secret part of these credentials.",
}


@dataclass(frozen=True)
class ArchiveSettings:
    """Location of the archive. :func:`archive_settings` reads it from the environment."""

    folder: Path | None = None
    bucket: str = ""
    prefix: str = ""
    endpoint: str = ""
    """URL of the S3 API of a bucket that is not Amazon's."""
    region: str = "us-east-1"
    ca_file: Path | None = None
    """Certificates of the authorities that vouch for the endpoint; None for the usual ones."""
    key_id: str = ""
    secret: str = field(default="", repr=False)


def archive_settings(environment: Mapping[str, str]) -> ArchiveSettings | None:
    """Read the variables; None where there is no archive. Raises SettingError."""
    settings = Settings(environment)
    if not (text := settings.text("BERTH_ARCHIVE")):
        return None
    url = urlsplit(text)
    if url.scheme == _FOLDER and not url.netloc and url.path.startswith("/"):
        return ArchiveSettings(folder=Path(url.path))
    if url.scheme != _BUCKET or not url.netloc or url.query or url.fragment:
        raise SettingError(f"BERTH_ARCHIVE is {text!r}; write s3://BUCKET/PREFIX or file:///FOLDER")
    endpoint = settings.text("BERTH_ARCHIVE_ENDPOINT").rstrip("/")
    if endpoint and urlsplit(endpoint).scheme not in ("http", "https"):
        raise SettingError(f"BERTH_ARCHIVE_ENDPOINT is {endpoint!r}; write a URL such as https://s3.example.org")
    return ArchiveSettings(
        bucket=url.netloc,
        prefix=url.path.strip("/"),
        endpoint=endpoint,
        region=settings.text("BERTH_ARCHIVE_REGION", "us-east-1"),
        ca_file=settings.path("BERTH_ARCHIVE_CA_FILE", None),
        key_id=settings.text("BERTH_ARCHIVE_KEY_ID"),
        secret=settings.text("BERTH_ARCHIVE_SECRET"),
    )
