"""A visitor at an address outside of the cluster, whose every command and result is printed."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from berth_dev.cluster.outside import Answer, Login, Outside
from berth_dev.commands import last_words
from berth_dev.errors import ClusterError

POLL = 0.1
ADMITTANCE = 5.0
SHUT_WITHIN = 0.5
SILENCE = 5
REFUSED, SILENT = 255, 124
LONGEST_RESULT = 400

out = Console(highlight=False)


@dataclass(frozen=True)
class Visitor:
    """A user of the API at `api`, with its authority and a token, at an outside client's address."""

    name: str
    at: Outside
    api: str
    authority: Path
    token: str

    def ask(self, method: str, path: str, body: object = None, *, expect: int = 200) -> Any:
        """Send a request, print it and its answer, and answer the parsed body (None where empty).

        Raises ClusterError where the status is not `expect`.
        """
        data = f" -d '{json.dumps(body)}'" if body is not None else ""
        out.print(
            f"  [cyan]{self.name}@{self.at.address} $[/] curl -X {method} $BERTH_API{path}{escape(data)}"
            f' -H "Authorization: Bearer ${self.name.upper()}"',
            soft_wrap=True,
        )
        answer = self.send(method, path, body)
        out.print(f"  [green]{answer.status}[/] {escape(_short(answer))}", soft_wrap=True)
        if answer.status != expect:
            raise ClusterError(f"{method} {path} answered {answer.status}, not {expect}: {answer.text.strip()}")
        return json.loads(answer.text) if answer.text.strip() else None

    def send(self, method: str, path: str, body: object = None) -> Answer:
        """Send a request and print nothing."""
        return self.at.request(method, f"{self.api}{path}", token=self.token, body=body, authority=self.authority)

    def instance(self, instance: str) -> dict[str, Any]:
        """Present state of an instance by the API."""
        answer = self.send("GET", f"/instance/{instance}")
        if answer.status != 200:
            raise ClusterError(f"GET /instance/{instance} answered {answer.status}: {answer.text.strip()}")
        info: dict[str, Any] = json.loads(answer.text)
        return info

    def enters(self, login: Login, command: str) -> str:
        """Run a command over ssh, print its output and answer it; ClusterError where it fails or ssh is not let in.

        A rule that was added a moment ago may need another try: for at most 5 s.
        """
        self._show_ssh(login, command)
        deadline = time.monotonic() + ADMITTANCE
        while True:
            process = self.at.ssh(login, command)
            if process.returncode == 0:
                break
            if time.monotonic() > deadline:
                raise ClusterError(f"{command!r} by ssh from {self.at.address} failed: {last_words(process)}")
        text = process.stdout.strip()
        for line in text.splitlines():
            out.print(f"  [green]{escape(line)}[/]", soft_wrap=True)
        return text

    def is_refused(self, login: Login) -> None:
        """Try ssh and print why it does not get in; ClusterError where it does.

        A rule that was removed a moment ago is promised to take effect within half a second.
        """
        self._show_ssh(login, "true")
        promised = time.monotonic() + SHUT_WITHIN
        while True:
            began = time.monotonic()
            process = self.at.ssh(login, "true", patience=SILENCE)
            if process.returncode in (REFUSED, SILENT):
                break
            if began > promised:
                raise ClusterError(f"ssh from {self.at.address} got in and should not have")
        reason = last_words(process) if process.returncode == REFUSED else f"cut off: no answer for {SILENCE} s"
        out.print(f"  [red]{escape(reason)}[/]", soft_wrap=True)

    def _show_ssh(self, login: Login, command: str) -> None:
        host, port = login.address
        out.print(
            f"  [cyan]{self.name}@{self.at.address} $[/] ssh -i {login.key.name} -o StrictHostKeyChecking=yes"
            f" -o UserKnownHostsFile={login.known_hosts.name} -p {port} root@{host} {escape(repr(command))}",
            soft_wrap=True,
        )


def wait(what: str, seconds: float, met: Callable[[], bool]) -> float:
    """Call `met` until it is true; return the seconds it took. ClusterError after `seconds`."""
    started = time.monotonic()
    while not met():
        if time.monotonic() - started > seconds:
            raise ClusterError(f"{what}: not within {seconds:g} s; see `kubectl get inst -A` and the operator's log")
        time.sleep(POLL)
    return time.monotonic() - started


def _short(answer: Answer) -> str:
    """The body on one line, private keys left out."""
    text = answer.text.strip()
    if text.startswith("{"):
        body = json.loads(text)
        for secret in ("sshkey", "key"):
            if secret in body:
                body[secret] = "-----BEGIN … (kept in a file)"
        text = json.dumps(body, ensure_ascii=False)
    return text if len(text) <= LONGEST_RESULT else f"{text[:LONGEST_RESULT]} …"
