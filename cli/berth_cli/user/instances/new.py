"""``berth new``: asks for an instance, waits in the queue and until READY."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from berth_cli.ui.options import Form, Output
from berth_cli.user import completion
from berth_cli.user.session import ContextName, Json, connect, escaped

if TYPE_CHECKING:
    from berth_cli.user.client import Api
    from berth_cli.user.instances.following import Asked
    from berth_cli.user.instances.request import Keys, Wish

EXAMPLES = """
Examples:

  berth new fixed_misty2 --wait

  berth new fixed_misty2 --for 2h --key ~/.ssh/id_ed25519 --wait

  berth new fixed_misty2 --reserve --wait --on-interrupt cancel

  berth new fixed_misty2 --vpn -o name

  berth new fixed_misty2 --repo https://git.example.org/lab/arm.git --wait

  berth new 5b3f1a57-0a53-4c39-9d8e-8c1f6d2b7e10 0d8f6a3e-1b1c-4f7e-9a55-0f6f3c1d7b42
"""


class OnInterrupt(StrEnum):
    """Meaning of a Ctrl-C during the wait."""

    ASK = "ask"
    CANCEL = "cancel"
    LEAVE = "leave"


def new(
    targets: Annotated[
        list[str],
        typer.Argument(
            metavar="TYPE_OR_DEPLOYMENT",
            help="A type, or one or several deployments of one type: any of these.",
            autocompletion=completion.types,
        ),
    ],
    wait: Annotated[bool, typer.Option("--wait", help="Wait until it is ready, and show how far it is.")] = False,
    reserve: Annotated[bool, typer.Option("--reserve", help="Wait in the queue where all are busy.")] = False,
    for_: Annotated[
        str | None, typer.Option("--for", metavar="TIME", help="How long, such as 30m or 2h; else as the type says.")
    ] = None,
    key: Annotated[
        Path | None,
        typer.Option("--key", metavar="FILE", help="Your own ssh key, private or public; else Berth makes one."),
    ] = None,
    vpn: Annotated[bool, typer.Option("--vpn", help="A VPN beside it; `berth vpn get` makes profiles.")] = False,
    repo: Annotated[
        str | None,
        typer.Option("--repo", metavar="URL", help="Cloned into it, where everyone may read it (https, http, git)."),
    ] = None,
    repo_path: Annotated[
        str | None,
        typer.Option("--repo-path", metavar="PATH", help="With --repo: where to; else below /root by its name."),
    ] = None,
    notify: Annotated[
        str | None,
        typer.Option("--notify", metavar="URL", help="With --reserve: receives a webhook when the turn has come."),
    ] = None,
    timeout: Annotated[
        str | None, typer.Option("--timeout", metavar="TIME", help="With --wait: longest wait (exit code 7).")
    ] = None,
    on_interrupt: Annotated[
        OnInterrupt | None,
        typer.Option(
            "--on-interrupt", help="Effect of Ctrl-C while waiting; else ask on a terminal, and leave without one."
        ),
    ] = None,
    output: Form = Output.TABLE,
    context: ContextName = None,
) -> None:
    """Take an instance of a type, or of certain deployments.

    A private key that Berth makes is kept below ~/.local/share/berth, and `berth ssh` uses it.
    """
    from berth_cli.ui.errors import USAGE, CliError
    from berth_cli.user.instances import request

    if notify is not None and not reserve:
        raise CliError("--notify tells of a turn in the queue: add --reserve", USAGE)
    if repo_path is not None and repo is None:
        raise CliError("--repo-path says where a repository goes: add --repo", USAGE)
    wish = request.Wish(tuple(targets), _seconds(for_), vpn, reserve, key, notify, repo, repo_path)
    patience = _seconds(timeout)
    keys = request.keys_of(key) if key is not None else None
    api = connect(context)
    target, interrupted = _ask(api, wish, keys)
    if interrupted:
        _goes_on(api, target, on_interrupt)
    info = _follow(api, target, patience, on_interrupt) if wait else None
    _remember(target, keys)
    _show(api, target, info, output)


def _ask(api: "Api", wish: "Wish", keys: "Keys | None") -> "tuple[Asked, bool]":
    """Send the request; return the result, and whether there was a Ctrl-C meanwhile."""
    import uuid

    from berth_cli.ui.errors import BUSY, NOT_FOUND, CliError
    from berth_cli.user.client import Refused
    from berth_cli.user.instances import progress, request, store
    from berth_cli.user.instances.following import Asked

    path, body = request.request(wish, keys)
    with progress.uninterrupted() as interrupted:
        try:
            answer = api.post(path, body, key=str(uuid.uuid4()))
        except Refused as error:
            if error.code == BUSY and error.status == 503 and not wish.reserve:
                raise CliError(f"{error.message} --reserve waits in the queue", BUSY) from error
            if error.code == NOT_FOUND:
                hint = "`berth types` and `berth search` show what there is"
                raise CliError(f"{error.message}: {hint}", NOT_FOUND) from error
            raise
        if not answer["success"]:
            return Asked(reservation=answer["id"]), interrupted()
        if "sshkey" in answer:
            store.keep_key(answer["id"], answer["sshkey"])
        target = Asked(instance=answer["id"])
        _remember(target, keys)
        return target, interrupted()


def _follow(api: "Api", target: "Asked", seconds: int | None, on_interrupt: OnInterrupt | None) -> Json:
    """Wait until it is ready, also after interruptions that are answered with waiting on."""
    from berth_cli.user.instances import following, progress

    while True:
        try:
            with progress.progress() as tell:
                return following.Follower(api, tell, seconds).until_ready(target)
        except KeyboardInterrupt:
            _goes_on(api, target, on_interrupt)


def _goes_on(api: "Api", target: "Asked", on_interrupt: OnInterrupt | None) -> None:
    """Decide after a Ctrl-C; return to wait on. Raises CliError that tells whether the request was left or ended."""
    from berth_cli.ui.errors import INTERRUPTED, CliError
    from berth_cli.user.instances import following, progress

    choice = on_interrupt or (OnInterrupt.ASK if progress.on_terminal() else OnInterrupt.LEAVE)
    if choice is OnInterrupt.ASK:
        try:
            word = _answer(target.what)
        except (typer.Abort, KeyboardInterrupt, EOFError):
            word = "l"
        if word == "w":
            return
        choice = OnInterrupt.CANCEL if word == "c" else OnInterrupt.LEAVE
    if choice is OnInterrupt.CANCEL:
        with progress.uninterrupted():
            raise CliError(f"interrupted: {following.give_up(api, target)}", INTERRUPTED)
    end = f"berth end {target.instance}" if target.instance else f"berth reservations cancel {target.reservation}"
    raise CliError(f"interrupted: {target.what} goes on; `{end}` gives it up", INTERRUPTED)


def _answer(what: str) -> str:
    """Ask until the answer is valid."""
    while True:
        text = typer.prompt(f"\n{what}: [c]ancel it, [l]eave it, [w]ait on", default="w", err=True)
        word = str(text).strip().lower()[:1]
        if word in ("c", "l", "w"):
            return word


def _remember(target: "Asked", keys: "Keys | None") -> None:
    """Record which of the user's own keys opens the instance, so that `berth ssh` finds it."""
    from berth_cli.user.instances import store

    if target.instance is not None and keys is not None and keys.private is not None:
        store.keep_identity(target.instance, keys.private)


def _show(api: "Api", target: "Asked", info: Json | None, output: Output) -> None:
    from berth_cli.ui.printing import show_one
    from berth_cli.user import shapes
    from berth_cli.user.instances import following

    if target.instance is None and (place := following.place(api, target)) is not None:
        show_one(place, shapes.RESERVATION, output)
        typer.echo("all are busy: you wait in the queue; `berth reservations` shows your place", err=True)
        return
    instance = info or api.get(f"/instance/{escaped(target.instance or '')}")
    show_one(instance, shapes.INSTANCE, output)
    hint = "`berth ssh` opens a shell" if instance["status"] == "READY" else "`berth info` says when it is READY"
    if output in (Output.TABLE, Output.WIDE):
        typer.echo(hint, err=True)


def _seconds(text: str | None) -> int | None:
    """Read a length of time as people write it."""
    from berth_cli.ui.errors import USAGE, CliError
    from berth_core import durations

    try:
        return int(durations.parse(text).total_seconds()) if text is not None else None
    except ValueError as error:
        raise CliError(str(error), USAGE) from error
