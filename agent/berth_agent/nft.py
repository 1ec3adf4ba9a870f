"""The kernel's side: load a ruleset as one transaction, and read which one is in force.

libnftables does both in this process, one call at a time. Calls run in a thread of their own, so the main one hears
signals meanwhile. No call can be ended: where one does not answer in time, the process ends, and the next process asks
the kernel whether the transaction happened.
"""

import ctypes
import os
import threading
from functools import cache
from queue import Empty, SimpleQueue
from typing import Final, NamedTuple

from berth_agent import log
from berth_agent.push import InForce, in_comment

TIMEOUT: Final = 5.0
"""Seconds. A load of 200 rules takes some 15 ms, most of it in the kernel."""
_LONGEST_COMPLAINT: Final = 2000
_STATELESS: Final = 1 << 1  # NFT_CTX_OUTPUT_STATELESS
_Context: Final = ctypes.c_void_p
_FUNCTIONS: Final = (
    ("nft_ctx_new", _Context, (ctypes.c_uint32,)),
    ("nft_ctx_free", None, (_Context,)),
    ("nft_ctx_buffer_output", ctypes.c_int, (_Context,)),
    ("nft_ctx_buffer_error", ctypes.c_int, (_Context,)),
    ("nft_ctx_output_set_flags", None, (_Context, ctypes.c_uint)),
    ("nft_run_cmd_from_buffer", ctypes.c_int, (_Context, ctypes.c_char_p)),
    ("nft_ctx_get_output_buffer", ctypes.c_char_p, (_Context,)),
    ("nft_ctx_get_error_buffer", ctypes.c_char_p, (_Context,)),
)
"""Functions of ``nftables/libnftables.h`` that are used: name, result, arguments."""


class NftError(Exception):
    """nftables said no; the ruleset before stays in force."""


def load(ruleset: str) -> None:
    """Put a ruleset in force: all of it, or NftError."""
    answer = _run(ruleset)
    if answer.code:
        raise NftError(answer.complaint)


def in_force() -> InForce | None:
    """Ask the kernel; None where the table does not exist or is not Berth's. NftError when it cannot be asked."""
    answer = _run("list table inet berth")
    if answer.code and "No such file or directory" in answer.complaint:
        return None
    if answer.code:
        raise NftError(answer.complaint)
    return in_comment(answer.output)


class _Answer(NamedTuple):
    code: int
    output: str = ""
    complaint: str = ""


def _run(commands: str) -> _Answer:
    """Have the library run commands; OSError where there is no library. A call that is held ends the process."""
    caller = _caller()
    caller.commands.put(commands.encode())
    try:
        return caller.answers.get(timeout=TIMEOUT)
    except Empty:
        log.event("nftables did not answer", "error", seconds=TIMEOUT)
        os._exit(1)  # nothing must be undone on the way: the transaction may still happen


class _Caller:
    """The thread that calls the library. It is kept, since memory that a new one needs costs as much as a listing."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL("libnftables.so.1")
        for name, result, arguments in _FUNCTIONS:
            function = getattr(self._library, name)
            function.restype, function.argtypes = result, arguments
        self.commands: SimpleQueue[bytes] = SimpleQueue()
        self.answers: SimpleQueue[_Answer] = SimpleQueue()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            self.answers.put(self._call(self.commands.get()))

    def _call(self, commands: bytes) -> _Answer:
        """Run commands in a context of their own: one that is kept also keeps its view of the kernel's tables."""
        nft = self._library
        context = nft.nft_ctx_new(0)  # NFT_CTX_DEFAULT
        try:
            if nft.nft_ctx_buffer_output(context) or nft.nft_ctx_buffer_error(context):
                return _Answer(-1, complaint="libnftables has no memory for its answer")
            nft.nft_ctx_output_set_flags(context, _STATELESS)
            code = nft.nft_run_cmd_from_buffer(context, commands)
            output = nft.nft_ctx_get_output_buffer(context).decode(errors="replace")
            complaint = nft.nft_ctx_get_error_buffer(context).decode(errors="replace")
            return _Answer(code, output, complaint.strip()[:_LONGEST_COMPLAINT])
        finally:
            nft.nft_ctx_free(context)


@cache
def _caller() -> _Caller:
    return _Caller()
