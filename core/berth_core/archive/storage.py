"""Storage for logs and artifacts of builds outside of the cluster's store: a bucket (S3 API), or a folder on a volume.

Keys are paths: workspace namespace, ``metadata.uid`` of the Build, name of the part.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from obstore.exceptions import BaseError
from obstore.store import LocalStore, S3Store

from berth_core.archive.settings import ArchiveSettings
from berth_core.kube.errors import NotFoundError, UnavailableError

if TYPE_CHECKING:
    from obstore.store import ClientConfig, S3Config  # they are not there at run time

PATIENCE: Final = 5.0
"""Seconds to wait for an answer, plus the time for the bytes that are written or read."""
SLOWEST: Final = 2 * 1024 * 1024
"""Least bytes per second that a usable archive reads and writes."""
RETRYING: Final = timedelta(seconds=PATIENCE)


class SilentError(UnavailableError):
    """An archive did not answer in time."""


class Archive:
    """Puts, gets and deletes. Every call can be repeated, and raises UnavailableError where there is no answer.

    No call takes much longer than PATIENCE and the time for its bytes, even if the archive hangs.
    """

    def __init__(self, settings: ArchiveSettings) -> None:
        self._store: S3Store | LocalStore
        if settings.folder is not None:
            self._store = LocalStore(settings.folder, automatic_cleanup=True)
        else:
            self._store = _bucket(settings)

    async def put(self, key: str, content: bytes) -> None:
        """Write the whole content of a key."""
        async with self.request(len(content)):
            await self._store.put_async(key, content)

    async def get(self, key: str) -> bytes:
        """Read the content of a key. Raises NotFoundError."""
        async with self.request():
            try:
                content = await self._store.get_async(key)
            except FileNotFoundError as error:
                raise NotFoundError(f"the archive has no {key}") from error
        async with self.request(content.meta["size"]):
            return bytes(await content.bytes_async())

    async def delete(self, key: str) -> None:
        """Delete a key, if it exists."""
        async with self.request():
            with suppress(FileNotFoundError):
                await self._store.delete_async(key)

    async def keys(self, folder: str) -> AsyncIterator[str]:
        """Yield the keys below a folder."""
        chunks = self._store.list_async(folder)
        while True:
            async with self.request():
                chunk = await anext(chunks, None)
            if chunk is None:
                return
            for entry in chunk:
                yield entry["path"]

    @asynccontextmanager
    async def request(self, size: int = 0) -> AsyncIterator[None]:
        """Limit the time of one request that moves ``size`` bytes, and turn failures into this project's errors."""
        seconds = PATIENCE + size / SLOWEST
        try:
            async with asyncio.timeout(seconds):
                yield
        except TimeoutError as error:
            raise SilentError(f"the archive did not answer within {seconds:.0f} s") from error
        except (BaseError, OSError) as error:
            raise _unavailable(error) from error


def key(namespace: str, uid: str, part: str) -> str:
    """Key of a part of a Build's log or artifacts, by the Build's uid."""
    return f"{namespace}/{uid}/{part}"


def _bucket(settings: ArchiveSettings) -> S3Store:
    client: ClientConfig = {"allow_http": settings.endpoint.startswith("http:")}
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
    """Return an error of one line: the library's messages have several lines, and may quote the request."""
    first = next(iter(str(error).splitlines()), "")
    return UnavailableError(f"the archive does not answer as it should: {type(error).__name__}: {first[:200]}")
