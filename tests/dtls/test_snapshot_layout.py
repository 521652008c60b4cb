"""A snapshot's bytes: everything comes back, and nothing that was changed, cut or sealed by others does."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twoway.dtls.connection_id import NO_CONNECTION_IDS, ConnectionIDs
from twoway.dtls.groups import NamedGroup
from twoway.dtls.keys import DirectionKeys, EpochKeys
from twoway.dtls.kinds import HandshakeKind
from twoway.dtls.record import MAX_SEQUENCE
from twoway.dtls.reservation import MAX_GENERATION, Cut
from twoway.dtls.sealing import SnapshotKey, SnapshotRejected
from twoway.dtls.snapshot import SavedAssociation, generation_of_untrusted
from twoway.dtls.suites import (
    DEFAULT_SUITES,
    ECDHE_ECDSA_AES_128_GCM,
    LEGACY_2013_SUITES,
    PSK_AES_128_CCM_8,
    CipherSuite,
)
from twoway.errors import ConfigurationError
from twoway.identity import PSKIdentity, RawPublicKeyIdentity, Unauthenticated, X509Identity

SUITES = DEFAULT_SUITES + LEGACY_2013_SUITES
ENTROPY = random.Random(7).randbytes
KEY = SnapshotKey(bytes(range(32)))
METER = X509Identity(
    "urn:dev:org:32473-meter",
    bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d03010703420004") + bytes(64),
    (),
    datetime(2030, 1, 1, tzinfo=UTC),
    ("meter.example", "192.0.2.1"),
)


def keys_of(suite: CipherSuite, *, encrypt_then_mac: bool = False) -> EpochKeys:
    sizes = (suite.mac_key_bytes, suite.key_bytes, suite.fixed_iv_bytes)
    read, write = (DirectionKeys(*map(ENTROPY, sizes)) for _ in range(2))
    return EpochKeys(suite, encrypt_then_mac, read=read, write=write)


def saved(suite: CipherSuite = ECDHE_ECDSA_AES_128_GCM, **changes: object) -> SavedAssociation:
    return SavedAssociation(
        generation=3,
        cut=Cut(70_000, 80),
        is_client=True,
        keys=keys_of(suite),
        group="x25519",
        kind=HandshakeKind.FULL,
        sent_limit=None,
        received_limit=None,
        connection_ids=NO_CONNECTION_IDS,
        checks_paths=False,
        peer=METER,
    )._replace(**changes)


def sealed(association: SavedAssociation, key: SnapshotKey = KEY) -> bytes:
    return association.seal(key, entropy=ENTROPY)


def opened(data: bytes, key: SnapshotKey = KEY) -> SavedAssociation:
    return SavedAssociation.open_untrusted(data, key, SUITES)


@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.name)
def test_everything_comes_back_with_every_suite(suite):
    association = saved(suite)
    assert opened(sealed(association)) == association


@pytest.mark.parametrize(
    "peer", [METER, PSKIdentity(b"\x00\xff"), RawPublicKeyIdentity(METER.spki), Unauthenticated()]
)
def test_every_kind_of_peer_comes_back(peer):
    assert opened(sealed(saved(peer=peer))).peer == peer


@given(
    generation=st.integers(1, MAX_GENERATION),
    send=st.integers(0, MAX_SEQUENCE),
    receive=st.integers(0, MAX_SEQUENCE),
    is_client=st.booleans(),
    keys=st.builds(keys_of, st.sampled_from(SUITES), encrypt_then_mac=st.booleans()),
    group=st.sampled_from([None, *(group.label for group in NamedGroup)]),
    kind=st.sampled_from(HandshakeKind),
    sent_limit=st.none() | st.integers(64, 2**14),
    received_limit=st.none() | st.integers(64, 2**14),
    connection_ids=st.builds(ConnectionIDs, st.binary(max_size=20), st.binary(max_size=255)),
    checks_paths=st.booleans(),
)
def test_every_value_comes_back(send, receive, **values):
    association = saved(cut=Cut(send, receive), **values)
    assert opened(sealed(association)) == association


@pytest.mark.parametrize(
    ("association", "size"),
    [
        (saved(peer=replace(METER, hosts=())), 204),
        (saved(PSK_AES_128_CCM_8, peer=PSKIdentity(b"sensor-0007"), group=None), 115),
    ],
    ids=["certificate", "shared key"],
)
def test_a_snapshot_is_small(association, size):
    assert len(sealed(association)) == size <= 284


def test_whatever_bit_is_flipped_it_is_rejected():
    data = sealed(saved())
    for position in range(len(data)):
        for bit in range(8):
            changed = bytearray(data)
            changed[position] ^= 1 << bit
            with pytest.raises(SnapshotRejected):
                opened(bytes(changed))


def test_however_short_it_is_cut_it_is_rejected():
    data = sealed(saved())
    for length in range(len(data)):
        with pytest.raises(SnapshotRejected):
            opened(data[:length])


def test_bytes_behind_it_are_rejected():
    with pytest.raises(SnapshotRejected):
        opened(sealed(saved()) + b"\x00")


def test_bytes_behind_the_peer_are_rejected_though_they_are_sealed():
    inner = KEY.open_untrusted(b"twoway: an association", 5, sealed(saved()))
    longer = KEY.seal(b"twoway: an association", sealed(saved())[:5], inner + b"\x00", entropy=ENTROPY)
    with pytest.raises(SnapshotRejected, match="this version"):
        opened(longer)


@pytest.mark.parametrize(
    "peer", [METER, PSKIdentity(b"\x00\xff"), Unauthenticated()], ids=["certificate", "shared key", "nobody"]
)
@pytest.mark.parametrize("ids", [NO_CONNECTION_IDS, ConnectionIDs(bytes(8), bytes(20))], ids=["plain", "IDs"])
def test_too_little_is_rejected_though_it_is_sealed(peer, ids):
    whole = sealed(saved(peer=peer, connection_ids=ids))
    inner = KEY.open_untrusted(b"twoway: an association", 5, whole)
    for length in range(len(inner)):
        shorter = KEY.seal(b"twoway: an association", whole[:5], inner[:length], entropy=ENTROPY)
        with pytest.raises(SnapshotRejected):
            opened(shorter)


@pytest.mark.parametrize(("position", "value"), [(2, 0x77), (4, 9)], ids=["group", "kind"])
def test_a_number_that_is_not_known_is_rejected_though_it_is_sealed(position, value):
    inner = bytearray(KEY.open_untrusted(b"twoway: an association", 5, sealed(saved())))
    inner[position] = value
    changed = KEY.seal(b"twoway: an association", sealed(saved())[:5], bytes(inner), entropy=ENTROPY)
    with pytest.raises(SnapshotRejected):
        opened(changed)


def test_another_key_opens_nothing():
    with pytest.raises(SnapshotRejected, match="with another key; check the snapshot key"):
        opened(sealed(saved(), SnapshotKey(bytes(32))))


def test_nothing_can_be_sealed_too_and_less_than_that_is_too_short():
    nothing = KEY.seal(b"purpose", b"header", b"", entropy=ENTROPY)
    assert KEY.open_untrusted(b"purpose", len(b"header"), nothing) == b""
    with pytest.raises(SnapshotRejected, match="too short"):
        KEY.open_untrusted(b"purpose", len(b"header"), nothing[:-1])


def test_what_was_sealed_for_another_purpose_is_no_snapshot():
    inner = KEY.open_untrusted(b"twoway: an association", 5, sealed(saved()))
    with pytest.raises(SnapshotRejected):
        opened(KEY.seal(b"something else", sealed(saved())[:5], inner, entropy=ENTROPY))


def test_a_suite_that_is_not_spoken_any_more_is_rejected():
    others = [suite for suite in SUITES if suite is not ECDHE_ECDSA_AES_128_GCM]
    with pytest.raises(SnapshotRejected, match="0xc02b"):
        SavedAssociation.open_untrusted(sealed(saved()), KEY, others)


def test_another_version_is_named():
    with pytest.raises(SnapshotRejected, match="version 2"):
        opened(b"\x02" + sealed(saved())[1:])


def test_the_generation_can_be_read_without_the_key():
    assert generation_of_untrusted(sealed(saved(generation=77))) == 77


@pytest.mark.parametrize("data", [b"", b"\x01\x00\x00\x00", b"\x02\x00\x00\x00\x01"])
def test_what_is_no_snapshot_has_no_generation(data):
    with pytest.raises(SnapshotRejected, match="the snapshot (is too short|has version 2)"):
        generation_of_untrusted(data)


@pytest.mark.parametrize("encrypt_then_mac", [True, False])
def test_the_order_of_encryption_and_mac_comes_back(encrypt_then_mac):
    keys = keys_of(LEGACY_2013_SUITES[0], encrypt_then_mac=encrypt_then_mac)
    assert opened(sealed(saved(keys=keys))).keys.encrypt_then_mac is encrypt_then_mac


def test_each_seal_takes_a_nonce_of_its_own():
    association = saved()
    assert sealed(association)[5:17] != sealed(association)[5:17]


@pytest.mark.parametrize("length", [0, 16, 31, 33])
def test_a_key_of_another_length_is_refused(length):
    with pytest.raises(ConfigurationError, match="32 bytes"):
        SnapshotKey(bytes(length))


def test_nothing_secret_is_printed():
    association = saved()
    shown = repr(association) + repr(KEY)
    for secret in (association.keys.write.key, association.keys.read.key, bytes(range(32))):
        assert repr(secret)[2:-1] not in shown
        assert secret.hex() not in shown
