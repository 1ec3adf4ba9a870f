"""The operator's words to the fences of connectors: which epoch of each deployment is the latest. Pure.

A deployment concerns the connector that it names, and each that has a word about it: where the name has changed in a
lease, the former connector hears of that lease's end too.
"""

from collections.abc import Callable, Iterable

from berth_core.connectors.words import Does
from berth_core.resources import Connector, WorkspaceDeployment
from berth_core.resources.connector import MOST_WORDS, FenceWord

Sign = Callable[[Does, str, str, int], str]
"""Signs a word by what it says, and by the uids of connector and deployment and the epoch."""


def words(connector: Connector, deployments: Iterable[WorkspaceDeployment], sign: Sign) -> list[FenceWord]:
    """Return the words that a connector should have; those that hold already stay as they are.

    ``deployments`` are those that name it, or of which it has a word. One that is gone needs none: the connector keeps
    its mark.
    """
    present = {known.deployment: known for known in connector.status.words}
    found = []
    for wd in sorted(deployments, key=lambda one: one.metadata.uid):
        uid, epoch, over = wd.metadata.uid, wd.status.epoch, wd.status.lease is None
        known = present.get(uid)
        if epoch == 0 or (known is None and named(wd) != connector.metadata.name):
            continue
        if known is not None and (known.epoch, known.over) == (epoch, over):
            found.append(known)
        else:
            word = sign("ended" if over else "begun", connector.metadata.uid, uid, epoch)
            found.append(FenceWord(deployment=uid, epoch=epoch, over=over, word=word))
    return found[:MOST_WORDS]


def named(wd: WorkspaceDeployment) -> str | None:
    """Name of the connector through which a deployment's machine is reached; None where there is none."""
    machine = wd.spec.machine
    return machine.connector.name if machine is not None and machine.connector is not None else None
