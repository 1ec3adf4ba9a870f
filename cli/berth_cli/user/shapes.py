"""Form of the API's answers for people. Pure but for the clock, from which ages follow."""

from datetime import UTC, datetime
from typing import Final

from berth_cli.ui.printing import Column, Table
from berth_cli.user import times
from berth_cli.user.session import Json


def _now() -> datetime:
    return datetime.now(UTC)


def address(info: Json) -> str | None:
    """Return address and port of ssh."""
    fwd = info.get("fwd")
    return f"{fwd['ipv4']}:{fwd['port']}" if fwd else None


def until(info: Json) -> str | None:
    """Return the end, and the time left until then."""
    end = info.get("expires")
    return f"{end} (in {times.left(end, _now())})" if end else None


def _repository(info: Json) -> str | None:
    repo = info.get("repo")
    if not repo:
        return None
    if repo["cloned"]:
        return f"{repo['path']} ({repo['message']})" if repo.get("message") else str(repo["path"])
    return f"not cloned: {repo.get('message') or 'not yet'}"


def _steps(info: Json) -> str | None:
    from berth_cli.user.instances import waiting

    return waiting.line(waiting.steps(info, queued=False)) if info.get("progress") else None


INSTANCE: Final = Table[Json](
    (
        Column("INSTANCE", lambda info: info["id"]),
        Column("STATUS", lambda info: info["status"]),
        Column("PROGRESS", _steps),
        Column("MESSAGE", lambda info: info.get("message")),
        Column("TYPE", lambda info: info["type"]),
        Column("REGION", lambda info: info["region"]),
        Column("DEPLOYMENT", lambda info: info["deployment"]),
        Column("ADDRESS", address),
        Column("USER", lambda info: info["rootuser"]),
        Column("SINCE", lambda info: f"{times.whole(info['starttime'])} ({times.ago(info['starttime'], _now())} ago)"),
        Column("UNTIL", until),
        Column("ENDED", lambda info: info.get("endtime")),
        Column("VPN", lambda info: info["vpn"]["status"] if info.get("vpn") else None),
        Column("REPOSITORY", _repository),
        Column("HOST KEYS", lambda info: ", ".join(info.get("hostkeys") or ()), wide=True),
        Column("DESCRIPTION", lambda info: (info.get("wdinfo") or {}).get("desc"), wide=True),
    ),
    name=lambda info: str(info["id"]),
)
INSTANCES: Final = Table[Json](
    (
        Column("INSTANCE", lambda info: info["id"]),
        Column("TYPE", lambda info: info["type"]),
        Column("STATUS", lambda info: info["status"]),
        Column("REGION", lambda info: info["region"]),
        Column("AGE", lambda info: times.ago(info["starttime"], _now())),
        Column("ENDED", lambda info: info.get("endtime"), wide=True),
        Column("LEFT", lambda info: times.left(info.get("expires"), _now()), wide=True),
        Column("ADDRESS", address, wide=True),
        Column("DEPLOYMENT", lambda info: info["deployment"], wide=True),
    ),
    name=lambda info: str(info["id"]),
    good=lambda info: info["status"] == "READY",
)
RESERVATION: Final = Table[Json](
    (
        Column("RESERVATION", lambda row: row["id"]),
        Column("FOR", lambda row: row["desc"]),
        Column("PLACE", lambda row: str(row["position"])),
        Column("TURN BY", lambda row: row.get("eta")),
        Column("AGE", lambda row: times.ago(row["created"], _now())),
        Column("USER", lambda row: row["user"], wide=True),
        Column("INSTANCE", lambda row: row["instance"], wide=True),
    ),
    name=lambda row: str(row["id"]),
)
QUEUE: Final = Table[Json](
    (
        Column("DEPLOYMENT", lambda row: row["id"]),
        Column("TYPE", lambda row: row["type"]),
        Column("WAITING", lambda row: str(max(row["qlen"] - 1, 0))),
        Column("STATE", lambda row: "free" if row["qlen"] == 0 else "busy"),
        Column("LEASE ENDS IN", lambda row: times.length(row["rem"]) if row["rem"] is not None else None),
    ),
    name=lambda row: str(row["id"]),
    good=lambda row: row["qlen"] == 0,
)
