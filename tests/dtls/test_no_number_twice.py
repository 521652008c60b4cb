"""Whatever is interleaved, no sequence number is used twice and no record is delivered twice.

Real engines. On each side there is a store that puts one snapshot in the place of another only if it follows
it, and there are processes, often several at a time, each with an association that was restored from the
store: they send, receive, save, hear or do not hear that they were stored, and crash. The wire keeps all
datagrams and delivers any of them to any process at any time, and again.
"""

from __future__ import annotations

import itertools

import pytest
from dtls_pair import Pair, psk_client_config, psk_server_config
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from small_pki import NOW

from twoway.dtls import Association, DataReceived, DTLSConfig, Snapshot, SnapshotKey
from twoway.dtls.record import split_datagram_untrusted
from twoway.errors import CallerError

KEY = SnapshotKey(bytes(range(32)))


class Process:
    """One holder of an association, and the snapshots that it has made and not seen stored."""

    def __init__(self, association: Association) -> None:
        self.association = association
        self.made: list[Snapshot] = []


class Shore:
    """One of the two sides: its store, its processes, and what they have done so far."""

    def __init__(self, association: Association, config: DTLSConfig) -> None:
        self.config = config
        self.processes = [Process(association)]
        self.store: Snapshot | None = None
        self.sent: dict[tuple[int, int], bytes] = {}
        self.datagrams: list[bytes] = []
        self.received: set[bytes] = set()

    def drain(self, process: Process) -> None:
        for datagram in process.association.datagrams_to_send():
            for record in split_datagram_untrusted(datagram)[0]:
                number = (record.epoch, record.sequence)
                assert number not in self.sent, f"{number} was used twice"
                self.sent[number] = record.fragment
            self.datagrams.append(datagram)
        while (event := process.association.next_event()) is not None:
            if isinstance(event, DataReceived):
                assert event.data not in self.received, f"{event.data!r} was delivered twice"
                self.received.add(event.data)


SHORE = st.integers(0, 1)
WHICH = st.integers(0, 7)


class Restarts(RuleBasedStateMachine):
    @initialize()
    def connect(self) -> None:
        configs = psk_client_config(), psk_server_config()
        self.pair = Pair(*configs).connect()
        associations = self.pair.client.association, self.pair.server.association
        self.shores = [Shore(*both) for both in zip(associations, configs, strict=True)]
        for sent in self.pair.sent:
            for record in sent.records:
                self.shores[not sent.to_server].sent[record.epoch, record.sequence] = record.fragment
        self.payloads = (b"%d" % number for number in itertools.count())
        for shore in (0, 1):
            self.save(shore=shore, which=0, sends=3, receipts=3)
            self.store(shore=shore, which=0, one=0, is_told=True)

    def process(self, shore: int, which: int) -> tuple[Shore, Process | None]:
        side = self.shores[shore]
        return side, side.processes[which % len(side.processes)] if side.processes else None

    @rule(shore=SHORE, which=WHICH, times=st.integers(1, 4))
    def send(self, shore: int, which: int, times: int) -> None:
        side, process = self.process(shore, which)
        for _ in range(times if process else 0):
            try:
                process.association.send(next(self.payloads))
            except CallerError:
                return
            side.drain(process)

    @rule(shore=SHORE, which=WHICH, latest=st.integers(1, 8))
    def deliver(self, shore: int, which: int, latest: int) -> None:
        """Everything that was sent lately arrives, most of it not for the first time."""
        side, process = self.process(shore, which)
        for datagram in self.shores[not shore].datagrams[-latest:] if process else ():
            process.association.receive_datagram(datagram, 1.0)
            side.drain(process)

    @rule(shore=SHORE, which=WHICH, sends=st.integers(0, 5), receipts=st.integers(0, 5))
    def save(self, shore: int, which: int, sends: int, receipts: int) -> None:
        _, process = self.process(shore, which)
        if process and process.association.established:
            process.made.append(process.association.save(KEY, sends_ahead=sends, receipts_ahead=receipts))

    @rule(shore=SHORE, which=WHICH, one=WHICH, is_told=st.booleans())
    def store(self, shore: int, which: int, one: int, is_told: bool) -> None:
        side, process = self.process(shore, which)
        if process is None or not process.made:
            return
        snapshot = process.made[one % len(process.made)]
        if snapshot.generation != (side.store.generation if side.store else 0) + 1:
            return  # Something else is in that place.
        side.store = snapshot
        if is_told:
            process.association.confirm_stored(snapshot)
            process.made.clear()

    @rule(shore=SHORE)
    def restore(self, shore: int) -> None:
        side = self.shores[shore]
        assert side.store is not None
        association = Association.restore(
            side.store.data, KEY, side.config, entropy=self.pair.entropy, wall_clock=lambda: NOW
        )
        side.processes.append(Process(association))

    @rule(shore=SHORE, which=WHICH)
    def crash(self, shore: int, which: int) -> None:
        side, process = self.process(shore, which)
        if process:
            side.processes.remove(process)

    @rule(shore=SHORE, which=WHICH)
    def close(self, shore: int, which: int) -> None:
        side, process = self.process(shore, which)
        if process:
            process.association.close()
            side.drain(process)
            side.processes.remove(process)

    @rule(shore=SHORE, sends=st.integers(1, 5), receipts=st.integers(0, 5))
    def restart(self, shore: int, sends: int, receipts: int) -> None:
        """The usual way: save, crash, be restored, save, be told."""
        side = self.shores[shore]
        self.restore(shore=shore)
        side.processes = side.processes[-1:]
        association = side.processes[0].association
        snapshot = association.save(KEY, sends_ahead=sends, receipts_ahead=receipts)
        side.store = snapshot
        association.confirm_stored(snapshot)


Restarts.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestRestarts = Restarts.TestCase


def test_the_machine_can_see_a_number_that_is_used_twice() -> None:
    """Two processes restored from one snapshot, both allowed to go on: what the store excludes."""
    machine = Restarts()
    machine.connect()
    machine.restore(shore=0)
    machine.restore(shore=0)
    for process in machine.shores[0].processes[1:]:
        process.association.confirm_deleted()
    machine.send(shore=0, which=1, times=1)
    with pytest.raises(AssertionError, match="used twice"):
        machine.send(shore=0, which=2, times=1)
