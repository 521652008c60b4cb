"""Ports for a deployment: free, different, and none that the system would give to somebody else meanwhile."""

from __future__ import annotations

import socket

import pytest

from twoway.demo import ground
from twoway.demo.ground import HOST, PORTS, free_ports
from twoway.errors import NetworkError


def test_ports_are_different_and_below_those_that_the_system_hands_out():
    ports = free_ports(50)
    assert len(set(ports)) == 50
    assert set(ports) <= set(PORTS)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_port:
        any_port.bind((HOST, 0))
        assert any_port.getsockname()[1] not in PORTS


def test_a_port_that_somebody_has_is_passed_over(monkeypatch):
    first = free_ports(1)[0]
    monkeypatch.setattr(ground, "PORTS", range(first, first + 1))
    assert free_ports(1) == [first]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind((HOST, first))
        with pytest.raises(NetworkError, match="not enough"):
            free_ports(1)
