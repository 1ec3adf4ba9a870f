"""Conditions of Deliveries, which the notifier writes."""

from typing import Final

from berth_core.keys.webhooks import DELIVERED, GIVEN_UP
from berth_core.reasons.table import Conditions, Reason

_BOTH: Final = (DELIVERED, GIVEN_UP)
_ADMIN: Final = "Ask an administrator for `webhooks.allowedCidrs`."

TABLES: Final = (
    Conditions(
        "Delivery",
        {
            DELIVERED: "The receiver took the message. False: the latest attempt failed.",
            GIVEN_UP: "No further attempt follows.",
        },
        (
            Reason("Delivered", (DELIVERED,), "The receiver answered 2xx."),
            Reason(
                "Refused",
                _BOTH,
                "The receiver answered another status than 2xx.",
                "Mend the receiver; attempts go on unless GivenUp is True.",
            ),
            Reason("Gone", _BOTH, "The receiver answered 410: it wants no more."),
            Reason("UrlRefused", _BOTH, "The URL is none that may be sent to.", "Correct the URL."),
            Reason("AddressRefused", _BOTH, "The host's address is private or blocked.", _ADMIN),
            Reason("Unresolved", _BOTH, "The host's name has no address.", "Correct the name, or its DNS."),
            Reason("TlsFailed", _BOTH, "The receiver's certificate is not trusted.", "Renew the certificate."),
            Reason("Unreachable", _BOTH, "The connection failed.", "Start the receiver."),
            Reason("TimedOut", _BOTH, "The receiver did not answer in time.", "Make it answer sooner."),
            Reason("BadAnswer", _BOTH, "The answer is no HTTP.", "Mend the receiver."),
            Reason(
                "TokenRefused",
                _BOTH,
                "The Secret with the provider's token is missing, not allowed, or not for this URL.",
                "Correct the Secret, or ask for its name in `ci.statusSecrets`.",
            ),
            Reason("AttemptsExhausted", (GIVEN_UP,), "All attempts failed.", "Mend the receiver, and ask the API."),
            Reason("Superseded", (GIVEN_UP,), "A later Delivery says more."),
        ),
    ),
)
