"""How instances look to clients. Pure."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from berth_api.auth.identity import Identity
from berth_api.deployments.service import Detail
from berth_api.deployments.shapes import deployment_detail
from berth_api.http.answers import Shape
from berth_api.instances.service import Held
from berth_api.keepalive.expiry import expires
from berth_api.vpn.shapes import vpn_status
from berth_core.kube.conditions import find
from berth_core.repositories import place
from berth_core.resources import Instance
from berth_core.resources.instance import Repo
from berth_core.resources.workspacetype import Limits
from berth_core.state import (
    BOUND,
    NETWORK_READY,
    POD_READY,
    PREPARED,
    REPOSITORY_READY,
    VPN_READY,
    Word,
    is_active,
)

ROOT_USER: Final = "root"


def instance_detail(held: Held, detail: Detail | None, identity: Identity, vpn_clients: Sequence[str] = ()) -> Shape:
    """Shape the page of one instance; ``vpn_clients`` are the ids of its VPN's clients, where it has one."""
    status = held.instance.status
    shape: Shape = {
        "id": held.instance.public_id,
        "deployment": held.deployment,
        "type": held.type,
        "region": held.region,
        "status": held.state.value,
        "starttime": held.start_time,
        "rootuser": ROOT_USER,
        "wdinfo": deployment_detail(detail, identity) if detail is not None else None,
    }
    active = is_active(held.instance)
    if status.end_time is not None:
        shape["endtime"] = status.end_time
    if active and (end := expires(held.instance, _limits(detail))) is not None:
        shape["expires"] = end
    if status.address is not None and active:
        shape["fwd"] = {"ipv4": status.address.ipv4, "port": status.address.port}
    if status.host_keys and active:
        shape["hostkeys"] = status.host_keys
    if held.instance.spec.vpn and active:
        shape["vpn"] = vpn_status(held.instance, vpn_clients)
    if held.instance.spec.repo is not None and active:
        shape["repo"] = _repository(held.instance, held.instance.spec.repo)
    if held.state is Word.INIT:
        shape["progress"] = progress(held.instance)
    if held.state is Word.INIT_FAIL and status.message:
        shape["message"] = status.message
    return shape


def progress(instance: Instance) -> Shape:
    """Tell which steps of a start are done, in their order; steps that this instance does not have are left out."""
    found = {c.type: c.status == "True" for c in instance.status.conditions}
    shape: Shape = {"bound": found.get(BOUND, False)}
    if PREPARED in found:
        shape["prepared"] = found[PREPARED]
    if instance.spec.repo is not None:
        shape["repo"] = found.get(REPOSITORY_READY, False)
    shape |= {"pod": found.get(POD_READY, False), "network": found.get(NETWORK_READY, False)}
    if instance.spec.vpn:
        shape["vpn"] = found.get(VPN_READY, False)
    return shape


def _repository(instance: Instance, repo: Repo) -> Shape:
    """Shape the result of cloning the requested repository."""
    shape: Shape = {"url": repo.url, "cloned": False}
    with suppress(ValueError):  # made with kubectl, without a usable path: the message says why
        shape["path"] = place(repo.url, repo.path)
    if (found := find(instance.status.conditions, REPOSITORY_READY)) is not None:
        shape |= {"cloned": found.status == "True", "message": found.message}
    return shape


def _limits(detail: Detail | None) -> Limits:
    return detail.type.spec.limits if detail is not None and detail.type is not None else Limits()


def instance_summary(held: Held) -> Shape:
    """Shape an instance's entry in lists with ``details``."""
    return {
        "id": held.instance.public_id,
        "status": held.state.value,
        "deployment": held.deployment,
        "type": held.type,
        "region": held.region,
        "starttime": held.start_time,
        "rootuser": ROOT_USER,
        "endtime": held.instance.status.end_time,
    }
