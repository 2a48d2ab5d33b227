"""The ports that agents get."""

from __future__ import annotations

import socket

import pytest

from outlastd.session_host.ports_pool import PORTS, PortsPool


def take_all(pool: PortsPool, given: list[int]) -> None:
    """Take ports until there are no more."""
    with pytest.raises(LookupError, match="is free"):
        given.extend(iter(pool.take, None))


def test_no_port_is_given_twice_nor_one_that_is_taken() -> None:
    """Ports that somebody listens on, or that another session has, are passed over; one given back comes again."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        pool = PortsPool(range(port - 3, port + 1))
        given: list[int] = []
        take_all(pool, given)

        assert port not in given
        assert len(set(given)) == len(given)
        pool.give_back(given[0])
        assert pool.take() == given[0]


def test_ports_are_none_that_connections_take() -> None:
    """Between the choice and the agent's bind, any connection might have got it."""
    assert PORTS.stop <= 32_768
