"""GET /: the commands and where they are."""

import re
from typing import Final

from fastapi import APIRouter, Request

from berth_api.dependencies import SharedState
from berth_api.meta.schemas import Commands

router = APIRouter(tags=["commands"])

COMMANDS: Final = {
    "workspace_types": "/workspaces{?with_dissolved}",
    "workspace_deployments": "/deployments{/type}{?q,maxlen,types,sort_by,max_per_page,page,info,with_dissolved}",
    "deployment_details": "/deployment/{deployment}",
    "register_machine": "/deployment",
    "queue_length": "/queuelen/{deployment}",
    "queue_lengths": "/qlen{/type}{?wds}",
    "create_instance": "/new{/target}",
    "terminate_instance": "/terminate/{instance}",
    "instances": "/instances{/type}{?include_terminated,include_init_fail,details,sort_by,max_per_page,page,user}",
    "instance_details": "/instance/{instance}",
    "instance_sshkey": "/instance/{instance}/sshkey",
    "keep_alive": "/instance/{instance}/ka",
    "extend_instance": "/instance/{instance}/extend",
    "firewall": "/firewall/{instance}",
    "vpn": "/vpn/{instance}{/client}",
    "reservations": "/reservations",
    "reservation_details": "/reservation/{reservation}",
    "webhook_key": "/.well-known/berth-webhook-key",
    "access_rules": "/rules{?to_user}",
    "deployment_rules": "/deployment/{deployment}/rules{?to_user}",
    "create_rule": "/deployment/{deployment}/rule",
    "delete_rule": "/deployment/{deployment}/rule/{rule}",
    "lockout": "/deployment/{deployment}/lockout",
    "ci_projects": "/ci/projects",
    "ci_create": "/ci/new",
    "ci_jobs": "/ci/project/{project}/job{?max_per_page,page}",
    "ci_job": "/ci/project/{project}/job/{job}",
    "ci_log": "/ci/project/{project}/job/{job}/log{?follow}",
    "ci_artifacts": "/ci/project/{project}/job/{job}/artifacts",
    "addon": "/addon/{+rest}",
    "revoke_token": "/revoke/{sha256}",
    "purge_tokens": "/purge",
    "health": "/healthz",
    "readiness": "/readyz",
    "openapi": "/openapi.json",
    "documentation": "/docs",
}
"""Names that clients know, and URL templates (RFC 6570) below the base URL. Every route has its place here."""
_SCHEME: Final = re.compile("https?")
_HOST: Final = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")


@router.get("/", summary="The commands, as URL templates by name")
async def commands(request: Request, state: SharedState) -> Commands:
    """List the commands."""
    base = state.config.public_url or _base(request)
    return Commands({name: base + template for name, template in COMMANDS.items()})


def _base(request: Request) -> str:
    """Scheme and host as the client wrote them; behind a trusted proxy that is what the proxy says."""
    scheme, host = request.url.scheme, request.headers.get("host", "")
    if request.state.by_proxy:
        scheme = _first(request, "x-forwarded-proto", _SCHEME, scheme)
        host = _first(request, "x-forwarded-host", _HOST, host)
    if not _HOST.fullmatch(host):
        address, port = request.scope["server"]
        host = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
    return f"{scheme}://{host}"


def _first(request: Request, header: str, form: re.Pattern[str], otherwise: str) -> str:
    """Return the first value of a header, which the outermost proxy saw; ``otherwise`` where its form is wrong."""
    value = request.headers.get(header, "").partition(",")[0].strip()
    return value if form.fullmatch(value) else otherwise
