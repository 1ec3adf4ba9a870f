"""One attempt: one POST, whose answer counts by its status alone.

Nothing that the receiver says gets into a status or a log, so that nobody reads through us what they cannot read
themselves. Redirects are not followed, cookies not kept, proxies of the environment not used.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime
from typing import Final

import aiohttp
from yarl import URL

from berth_core.resources import DeliverySpec
from berth_notifier import outcome, signing, targets, tokens
from berth_notifier.connecting import AddressRefusedError
from berth_notifier.outcome import Outcome
from berth_notifier.schedule import ATTEMPT_SECONDS
from berth_notifier.signing import Keys
from berth_notifier.tokens import Token, TokenError

CONNECT_SECONDS: Final = 5.0
MOST_BYTES: Final = 16 * 1024
"""Of an answer's body, read only so that the receiver can end what it says."""
MOST_HEADER_BYTES: Final = 8190


class Sender:
    """Sends webhooks and statuses of commits; make it within a running event loop, and close it.

    ``token`` reads the token of a Secret, and raises TokenError where it must not, or cannot.
    """

    def __init__(
        self,
        connector: aiohttp.TCPConnector,
        keys: Callable[[], Keys],
        token: Callable[[str], Awaitable[Token]],
        agent: str,
    ) -> None:
        self._keys = keys
        self._token = token
        self._session = aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=ATTEMPT_SECONDS, sock_connect=CONNECT_SECONDS),
            headers={"User-Agent": agent, "Accept": "*/*", "Accept-Encoding": "identity"},
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            auto_decompress=False,
            read_bufsize=MOST_BYTES,
            max_line_size=MOST_HEADER_BYTES,
            max_field_size=MOST_HEADER_BYTES,
        )

    async def close(self) -> None:
        """Close what is open."""
        await self._session.close()

    async def send(self, spec: DeliverySpec, now: datetime) -> Outcome:
        """Make one attempt. Raises OSError or ValueError where the keys cannot be read: then nothing was sent."""
        try:
            target = targets.parse(spec.url)
        except targets.TargetError as error:
            return Outcome(outcome.URL_REFUSED, str(error), final=True)
        try:
            headers = await self._headers(spec, target, now)
        except TokenError as error:
            return Outcome(outcome.TOKEN_REFUSED, str(error))
        headers |= {"Content-Type": "application/json"}
        return await self._post(target, spec.payload.encode(), headers, is_webhook=spec.form == "webhook")

    async def _headers(self, spec: DeliverySpec, target: targets.Target, now: datetime) -> dict[str, str]:
        if spec.form == "webhook":
            return signing.headers(self._keys(), message=spec.id, user=spec.user, payload=spec.payload, now=now)
        token = await self._token(spec.token_secret) if spec.token_secret is not None else None
        if token is not None and not token.may_go_to(target):
            raise TokenError(f"the token of the Secret {spec.token_secret} may not be sent to this URL: see its `url`")
        return tokens.headers(spec.form, token)

    async def _post(self, target: targets.Target, body: bytes, headers: dict[str, str], *, is_webhook: bool) -> Outcome:
        url = URL(target.url, encoded=True)
        try:
            async with self._session.post(url, data=body, headers=headers, allow_redirects=False) as answer:
                with suppress(aiohttp.ClientError, TimeoutError, OSError):  # the status has come, and it decides
                    await _drain(answer)
                return outcome.of_status(
                    answer.status, _seconds(answer.headers.get("Retry-After", "")), is_webhook=is_webhook
                )
        except AddressRefusedError as error:
            return Outcome(outcome.ADDRESS_REFUSED, str(error))
        except aiohttp.ClientConnectorDNSError:
            return Outcome(outcome.UNRESOLVED, "the receiver's name has no address")
        except (aiohttp.ClientConnectorCertificateError, aiohttp.ClientConnectorSSLError):
            return Outcome(outcome.TLS_FAILED, "the receiver's certificate does not verify, or TLS failed otherwise")
        except TimeoutError:
            return Outcome(outcome.TIMED_OUT, f"the receiver did not answer within {ATTEMPT_SECONDS:.0f} s")
        except (aiohttp.ClientConnectorError, aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
            return Outcome(outcome.UNREACHABLE, "no connection to the receiver, or it ended before an answer")
        except (aiohttp.ClientError, ValueError):
            return Outcome(outcome.BAD_ANSWER, "the receiver's answer is not valid HTTP")


async def _drain(answer: aiohttp.ClientResponse) -> None:
    read = 0
    async with asyncio.timeout(CONNECT_SECONDS):
        async for chunk in answer.content.iter_any():
            read += len(chunk)
            if read > MOST_BYTES:
                return


def _seconds(retry_after: str) -> float:
    """Seconds that a Retry-After header asks for; 0 for dates, which few send, and for what is malformed."""
    return float(retry_after) if retry_after.isascii() and retry_after.isdecimal() and len(retry_after) < 10 else 0.0
