"""Conditions of Relays, which the keeper writes, and of deployments as far as they rest on them."""

from typing import Final

from berth_core.leases.availability import SAFE_STATE
from berth_core.machines.relays import DONE, USABLE
from berth_core.reasons.table import WAIT, Conditions, Reason

_KEPT: Final = (SAFE_STATE, "Online")
_BOTH: Final = (USABLE, DONE)
_RELAY: Final = "Look whether the relay is switched on and in its network, and at the keeper's log."
_SECRET: Final = (
    ("SecretMissing", "There is no such Secret in the keeper's namespace.", "Make the Secret that the message names."),
    (
        "SecretRefused",
        "The Secret does not name the deployment.",
        "Have an administrator add the deployment to the Secret's key `deployments`.",
    ),
    ("SecretUnusable", "The Secret's content cannot be used.", "Correct the key that the message names."),
    (
        "RelayForbidden",
        "The keeper does not connect to the relay's address.",
        "Have its network added to `instances.machineCidrs`, or correct the address.",
    ),
)

OF_DEPLOYMENTS: Final = (
    Reason("KeeperReady", (SAFE_STATE,), "The keeper can do what the end of a lease takes."),
    Reason(
        "KeeperMissing",
        _KEPT,
        "An add-on has `onLeaseEnd`, and no keeper runs that could do it.",
        "Set `keeper.enabled`, look at the Deployment `berth-keeper`, or take `onLeaseEnd` away.",
    ),
    Reason("KeeperAwaited", _KEPT, "The keeper has not looked at the relay yet.", WAIT),
    *(Reason(word, _KEPT, when, step) for word, when, step in _SECRET),
    Reason("NoEnds", (SAFE_STATE,), "No add-on has `onLeaseEnd` any more."),
)
TABLES: Final = (
    Conditions(
        "Relay",
        {
            USABLE: "The keeper can work the relay, as far as its Secret says.",
            DONE: "The latest request was done. False: an attempt goes on or has failed, and another may follow.",
        },
        (
            Reason("Usable", (USABLE,), "The Secret says how to work the relay."),
            *(Reason(word, _BOTH, when, step) for word, when, step in _SECRET),
            Reason("Begun", (DONE,), "The first attempt goes on.", WAIT),
            Reason("Switched", (DONE,), "The relay has done it."),
            Reason("Answered", (DONE,), "The relay answered another status than 2xx.", "Correct the Secret's request."),
            Reason("StateDiffers", (DONE,), "The relay took the request, and does not show the state.", _RELAY),
            Reason(
                "TlsFailed", (DONE,), "The relay's certificate does not verify.", "Correct the Secret's key `ca.crt`."
            ),
            Reason("Unreachable", (DONE,), "The connection failed.", _RELAY),
            Reason("TimedOut", (DONE,), "The relay did not answer in time.", _RELAY),
            Reason("BadAnswer", (DONE,), "The answer is no HTTP.", _RELAY),
            Reason(
                "SnmpFailed",
                (DONE,),
                "The outlet refused the message.",
                "Correct the Secret's key `snmp` or the object.",
            ),
            Reason("SecretUnread", (DONE,), "The cluster's API did not give the Secret.", WAIT),
        ),
    ),
)
