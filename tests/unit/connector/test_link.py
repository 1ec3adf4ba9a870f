"""The link over a connection that is played: bytes arrive whole and in order, and a broken peer ends it and no more."""

import asyncio
from collections import deque
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from berth_tunnel import link as links
from berth_tunnel.link import BACKLOG, WINDOW, Handler, Headers, Link, Stream
from berth_tunnel.wire import Wire, WireError


class Transport(asyncio.Transport):
    """Keeps what is written until it is carried to the other side."""

    def __init__(self) -> None:
        super().__init__()
        self.written: deque[bytes] = deque()
        self.closed = False

    def write(self, data: Any) -> None:
        self.written.append(bytes(data))

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Take note of nothing."""

    def is_closing(self) -> bool:
        return self.closed

    def abort(self) -> None:
        self.closed = True

    def close(self) -> None:
        self.closed = True


class Echo(Handler):
    """Answers with what it gets."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream

    def on_data(self, data: bytes) -> None:
        self.stream.consumed(len(data))
        self.stream.send(data)

    def on_end(self) -> None:
        self.stream.end()


class Taking(Handler):
    """Takes what comes; ``slow`` where it never makes room."""

    def __init__(self, *, slow: bool = False) -> None:
        self.slow = slow
        self.data = bytearray()
        self.status = 0
        self.ended = self.closed = False
        self.stream: Stream | None = None

    def on_answer(self, status: int, headers: Headers) -> None:
        self.status = int(headers.get(":status", status))

    def on_data(self, data: bytes) -> None:
        self.data += data
        if not self.slow and self.stream is not None:
            self.stream.consumed(len(data))

    def on_end(self) -> None:
        self.ended = True

    def on_closed(self) -> None:
        self.closed = True


class Pair:
    """A hub's and a connector's side."""

    def __init__(self) -> None:
        self.transports = Transport(), Transport()
        self.wires = Wire(), Wire()
        for wire, transport in zip(self.wires, self.transports, strict=True):
            wire.connection_made(transport)
        self.ends: list[str] = []
        self.hub = Link(self.wires[0], on_end=self.ends.append)
        self.connector = Link(self.wires[1], on_end=self.ends.append, accept=self.accept)
        self.accepted: list[Stream] = []
        self.hub.start()
        self.connector.start()
        self.carry()

    def accept(self, stream: Stream, headers: Headers) -> Handler:
        assert headers[":path"] == "/x"
        self.accepted.append(stream)
        stream.answer(200)
        return Echo(stream)

    def carry(self, cut: int = 1 << 20) -> None:
        """Carry all that is written, in pieces of at most ``cut`` bytes."""
        while any(transport.written for transport in self.transports):
            for here, there in ((0, 1), (1, 0)):
                data = b"".join(self.transports[here].written)
                self.transports[here].written.clear()
                for begin in range(0, len(data), cut):
                    self.wires[there].data_received(data[begin : begin + cut])


@settings(max_examples=40)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(1, 200_000)), min_size=1, max_size=12),
    st.sampled_from([7, 1000, 65_536]),
)
def test_bytes_of_each_stream_arrive_whole_and_in_order(sends: list[tuple[int, int]], cut: int) -> None:
    pair = Pair()
    takers, sent = [Taking() for _ in range(4)], [bytearray() for _ in range(4)]
    for taker in takers:
        taker.stream = pair.hub.open("/x", {}, taker)
    for number, (which, size) in enumerate(sends):
        data = bytes([number % 251]) * size
        sent[which] += data
        stream = takers[which].stream
        assert stream is not None
        stream.send(data)
        if number % 3 == 0:
            pair.carry(cut if size < 5000 else 65_536)
    for taker in takers:
        assert taker.stream is not None
        taker.stream.end()
    pair.carry(65_536)
    assert [bytes(taker.data) for taker in takers] == [bytes(data) for data in sent]
    assert all(taker.ended and taker.status == 200 for taker in takers)
    assert not pair.ends


def test_a_slow_reader_holds_back_its_own_stream_and_no_other() -> None:
    pair = Pair()
    slow, quick = Taking(slow=True), Taking()
    for taker in (slow, quick):
        taker.stream = pair.hub.open("/x", {}, taker)
    assert slow.stream is not None
    assert quick.stream is not None
    for _ in range(40):
        slow.stream.send(b"s" * 65_536)
        pair.carry()
    quick.stream.send(b"q" * 300_000)
    pair.carry()
    assert len(quick.data) == 300_000
    assert len(slow.data) <= WINDOW
    assert not pair.accepted[0].has_room


def test_a_stream_that_has_no_room_says_when_it_has_some_again() -> None:
    pair, heard = Pair(), []
    taker = Taking()
    taker.on_room = lambda: heard.append(True)  # type: ignore[method-assign]
    taker.stream = pair.hub.open("/x", {}, taker)
    taker.stream.send(b"x" * (WINDOW + BACKLOG + 1))
    assert not taker.stream.has_room
    pair.carry()
    assert taker.stream.has_room
    assert heard


def test_a_reset_ends_a_stream_on_both_sides_and_nothing_else() -> None:
    pair = Pair()
    gone, stays = Taking(), Taking()
    for taker in (gone, stays):
        taker.stream = pair.hub.open("/x", {}, taker)
    pair.carry()
    pair.accepted[0].reset()
    pair.carry()
    assert gone.closed
    assert stays.stream is not None
    stays.stream.send(b"on")
    pair.carry()
    assert stays.data == b"on"
    assert not pair.ends


def test_a_stream_that_is_opened_and_reset_at_once_costs_no_other_its_link() -> None:
    pair = Pair()
    stays = Taking()
    stays.stream = pair.hub.open("/x", {}, stays)
    pair.hub.open("/x", {}, Taking()).reset()
    gone = Taking()
    gone.stream = pair.hub.open("/x", {}, gone)
    gone.stream.send(b"x" * 200_000)
    gone.stream.reset()
    pair.carry()
    stays.stream.send(b"on")
    pair.carry()
    assert stays.data == b"on"
    assert not pair.ends


def test_the_number_of_streams_is_bounded_and_an_ended_one_makes_room() -> None:
    pair = Pair()
    streams = [pair.hub.open("/x", {}, Taking()) for _ in range(links.MOST_STREAMS)]
    with pytest.raises(ConnectionError):
        pair.hub.open("/x", {}, Taking())
    streams[0].reset()
    pair.carry()
    pair.hub.open("/x", {}, Taking())


def test_a_link_that_was_silent_for_too_long_looks_at_nothing_that_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    pair = Pair()
    pair.connector._most_silence = 2.0
    taker = Taking()
    stream = pair.hub.open("/x", {}, taker)
    pair.carry()
    stream.send(b"late")
    now = links.steady()
    monkeypatch.setattr(links, "steady", lambda: now + 3)
    pair.carry()
    assert pair.ends[0] == "it was silent for too long"
    assert not taker.data


def test_a_peer_that_announces_a_long_frame_is_cut_off_before_it_is_kept() -> None:
    pair = Pair()
    pair.wires[0].data_received((1 << 23).to_bytes(3, "big") + b"\0\0\0\0\0\1" + b"x" * 70_000)
    assert "too long" in pair.ends[0]


@settings(max_examples=150)
@given(st.binary(max_size=400), st.booleans())
def test_whatever_a_broken_peer_sends_ends_its_link_at_most(garbage: bytes, towards_hub: bool) -> None:
    pair = Pair()
    taker = Taking()
    taker.stream = pair.hub.open("/x", {}, taker)
    pair.carry()
    pair.wires[0 if towards_hub else 1].data_received(garbage)
    pair.wires[0 if towards_hub else 1].connection_lost(None)
    assert len(pair.ends) == 1


async def test_a_head_that_never_ends_is_cut_off() -> None:
    wire, transport = Wire(), Transport()
    wire.connection_made(transport)
    reading = asyncio.ensure_future(wire.head())
    wire.data_received(b"x" * 70_000)
    assert transport.closed
    wire.connection_lost(None)
    with pytest.raises(WireError):
        await reading
