"""Where logs and artifacts of builds lie outside of the cluster's store: a bucket (S3 API), or a folder on a volume.

Keys are paths: workspace namespace, ``metadata.uid`` of the Build, name of the part.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from obstore.exceptions import BaseError
from obstore.store import LocalStore, S3Store

from berth_core.errors import NotFoundError, UnavailableError

if TYPE_CHECKING:
    from obstore.store import ClientConfig, S3Config  # they are not there at run time

TIMEOUT: Final = timedelta(seconds=20)
"""Of one request to a bucket."""
RETRYING: Final = timedelta(seconds=30)
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


class Archive:
    """Puts, gets and deletes. Every call can be repeated, and raises UnavailableError where there is no answer."""

    def __init__(self, settings: ArchiveSettings) -> None:
        self._store: S3Store | LocalStore
        if settings.folder is not None:
            self._store = LocalStore(settings.folder, automatic_cleanup=True)
        else:
            self._store = _bucket(settings)

    async def put(self, key: str, content: bytes) -> None:
        """Write what lies under a key, whole."""
        try:
            await self._store.put_async(key, content)
        except (BaseError, OSError) as error:
            raise _unavailable(error) from error

    async def get(self, key: str) -> bytes:
        """Read what lies under a key. Raises NotFoundError."""
        try:
            found = await self._store.get_async(key)
            return bytes(await found.bytes_async())
        except FileNotFoundError as error:
            raise NotFoundError(f"the archive has no {key}") from error
        except (BaseError, OSError) as error:
            raise _unavailable(error) from error

    async def delete(self, key: str) -> None:
        """Delete what lies under a key, if it is there."""
        try:
            await self._store.delete_async(key)
        except FileNotFoundError:
            return
        except (BaseError, OSError) as error:
            raise _unavailable(error) from error

    async def keys(self, folder: str) -> AsyncIterator[str]:
        """Yield the keys below a folder."""
        try:
            async for chunk in self._store.list_async(folder):
                for found in chunk:
                    yield found["path"]
        except (BaseError, OSError) as error:
            raise _unavailable(error) from error


def key(namespace: str, uid: str, part: str) -> str:
    """Key of a part of what was kept of the Build with a uid."""
    return f"{namespace}/{uid}/{part}"


def _bucket(settings: ArchiveSettings) -> S3Store:
    client: ClientConfig = {"timeout": TIMEOUT, "allow_http": settings.endpoint.startswith("http:")}
    if settings.ca_file is not None:
        client["root_certificate"] = settings.ca_file.read_bytes()
    config: S3Config = {"region": settings.region}
    if settings.endpoint:
        config["endpoint"] = settings.endpoint
    if settings.key_id:
        config |= {"access_key_id": settings.key_id, "secret_access_key": settings.secret}
    return S3Store(
        settings.bucket,
        prefix=settings.prefix or None,
        config=config,
        client_options=client,
        retry_config={"max_retries": 2, "retry_timeout": RETRYING},
    )


def _unavailable(error: Exception) -> UnavailableError:
    """Say what is wrong in a line: the library's own words go on for several, and may quote the request."""
    first = next(iter(str(error).splitlines()), "")
    return UnavailableError(f"the archive does not answer as it should: {type(error).__name__}: {first[:200]}")
