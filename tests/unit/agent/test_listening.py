"""Against this machine's own sockets."""

import socket

from berth_agent.listening import is_listening


def test_a_listening_socket_is_seen_and_a_loopback_one_is_not() -> None:
    with socket.create_server(("127.0.0.1", 0)) as near:
        assert not is_listening(near.getsockname()[1])
    with socket.socket() as bound:
        bound.bind(("", 0))
        port = bound.getsockname()[1]
        assert not is_listening(port)
        bound.listen()
        assert is_listening(port)
    assert not is_listening(port)
