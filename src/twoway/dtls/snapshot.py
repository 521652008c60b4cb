"""Snapshots: an established association as bytes, sealed, and back.

This module owns the layout, and what is judged again before a copy lives on. Who may use which numbers after
a copy was made is :mod:`twoway.dtls.reservation`'s.

A snapshot, integers big-endian (:mod:`twoway.dtls.sealing` says how it is sealed):

    uint8 version;                   1
    uint32 generation;               can be read without the key
    opaque nonce[12];
    what follows is encrypted:
        uint16 suite;
        uint16 group;                0: none
        uint8 kind;                  of handshake: 0 unauthenticated, 1 server authenticated, 2 full
        uint8 flags;                 bit 0: we are the client, bit 1: encrypt-then-MAC,
                                     bit 2: both sides check new paths (RFC 9853)
        uint64 send, receive;        the cut
        uint16 sent_limit;           bytes of plaintext that the peer takes in a record, 0: no bound agreed
        uint16 received_limit;       the same for us
        the keys that we write with: MAC key, key, IV, as long as the suite has them
        the keys that the peer writes with, likewise
        opaque ours<0..255>;         the connection ID that the peer writes (RFC 9146)
        opaque peers<0..255>;        the connection ID that we write
        the peer, as twoway.dtls.peer_record writes it
    opaque tag[16];

There is no master secret in it: it would open what was said before the snapshot was made, and nothing that is
done after a handshake needs it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Final, NamedTuple

from twoway.dtls.alerts import HandshakeFailure
from twoway.dtls.config import DTLSConfig
from twoway.dtls.connection_id import NO_CONNECTION_IDS, ConnectionIDs
from twoway.dtls.groups import NamedGroup
from twoway.dtls.keys import DirectionKeys, EpochKeys
from twoway.dtls.kinds import HandshakeKind
from twoway.dtls.peer_record import encode_identity, parse_identity_untrusted
from twoway.dtls.reservation import Cut
from twoway.dtls.sealing import SnapshotKey, SnapshotRejected
from twoway.dtls.suites import CipherSuite
from twoway.dtls.wire import vector
from twoway.identity import Identity, RawPublicKeyIdentity, X509Identity

VERSION: Final = 1
_PURPOSE: Final = b"twoway: an association"
_HEADER = struct.Struct(">BI")
_FIXED = struct.Struct(">HHBBQQHH")
_IS_CLIENT: Final = 1
_ENCRYPT_THEN_MAC: Final = 2
_CHECKS_PATHS: Final = 4
_KINDS: Final = (HandshakeKind.ANONYMOUS, HandshakeKind.SERVER_AUTHENTICATED, HandshakeKind.FULL)
_GROUPS: Final[dict[int, str | None]] = {0: None} | {group.value: group.label for group in NamedGroup}
_GROUP_CODES: Final = {label: code for code, label in _GROUPS.items()}


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What :meth:`Association.save` made; store :attr:`data`, then say so with this value."""

    data: bytes = field(repr=False)
    """Sealed; worth as much as the association to whoever has the key, and nothing to anybody else."""
    generation: int
    """It takes the place of the snapshot with the generation before, of which 0 means that there is none."""


class SavedAssociation(NamedTuple):
    """What a snapshot holds."""

    generation: int
    cut: Cut
    is_client: bool
    keys: EpochKeys
    group: str | None
    kind: HandshakeKind
    sent_limit: int | None
    received_limit: int | None
    connection_ids: ConnectionIDs
    checks_paths: bool
    peer: Identity

    def __repr__(self) -> str:
        return f"SavedAssociation(generation={self.generation}, peer={self.peer})"

    def seal(self, key: SnapshotKey, *, entropy: Callable[[int], bytes]) -> bytes:
        """Return the snapshot's bytes."""
        keys = self.keys
        fixed = _FIXED.pack(
            keys.suite.code,
            _GROUP_CODES[self.group],
            _KINDS.index(self.kind),
            _IS_CLIENT * self.is_client
            | _ENCRYPT_THEN_MAC * keys.encrypt_then_mac
            | _CHECKS_PATHS * self.checks_paths,
            *self.cut,
            self.sent_limit or 0,
            self.received_limit or 0,
        )
        ids = self.connection_ids
        plaintext = b"".join(
            (
                fixed,
                *keys.write,
                *keys.read,
                vector(1, ids.ours),
                vector(1, ids.peers),
                encode_identity(self.peer),
            )
        )
        return key.seal(_PURPOSE, _HEADER.pack(VERSION, self.generation), plaintext, entropy=entropy)

    @classmethod
    def open_untrusted(cls, data: bytes, key: SnapshotKey, suites: Iterable[CipherSuite]) -> SavedAssociation:
        """Read a snapshot.

        Args:
            data: the snapshot's bytes.
            key: what it was sealed with.
            suites: those that are spoken.

        Raises:
            SnapshotRejected: whatever is wrong with it, and nothing else.
        """
        generation = generation_of_untrusted(data)
        plaintext = key.open_untrusted(_PURPOSE, _HEADER.size, data)
        if len(plaintext) < _FIXED.size:
            raise _malformed()
        code, group, kind, flags, send, receive, sent_limit, received_limit = _FIXED.unpack_from(plaintext)
        suite = _suite_of(code, suites)
        keys = _keys_layout(suite.mac_key_bytes, suite.key_bytes, suite.fixed_iv_bytes)
        try:
            pieces = keys.unpack_from(plaintext, _FIXED.size)
            # A slice beyond the end comes out short; then no peer follows, which is refused.
            ours_at = _FIXED.size + keys.size + 1
            peers_at = ours_at + plaintext[ours_at - 1] + 1
            peer_at = peers_at + plaintext[peers_at - 1]
            ours, peers = plaintext[ours_at : peers_at - 1], plaintext[peers_at:peer_at]
            return cls(
                generation=generation,
                cut=Cut(send, receive),
                is_client=bool(flags & _IS_CLIENT),
                keys=EpochKeys(
                    suite,
                    bool(flags & _ENCRYPT_THEN_MAC),
                    write=DirectionKeys(*pieces[:3]),
                    read=DirectionKeys(*pieces[3:]),
                ),
                group=_GROUPS[group],
                kind=_KINDS[kind],
                sent_limit=sent_limit or None,
                received_limit=received_limit or None,
                connection_ids=ConnectionIDs(ours, peers) if ours or peers else NO_CONNECTION_IDS,
                checks_paths=bool(flags & _CHECKS_PATHS),
                peer=parse_identity_untrusted(plaintext[peer_at:]),
            )
        except (LookupError, struct.error, HandshakeFailure):
            raise _malformed() from None


def generation_of_untrusted(data: bytes) -> int:
    """Return the generation of a snapshot, for a store that compares before it replaces.

    It is read without the key and so without any proof: whoever can write to the store can change it.
    :meth:`Association.restore` notices.

    Raises:
        SnapshotRejected: these bytes are no snapshot, or one of another version.
    """
    if len(data) < _HEADER.size:
        raise SnapshotRejected("the snapshot is too short")
    version, generation = _HEADER.unpack_from(data)
    if version != VERSION:
        raise SnapshotRejected(f"the snapshot has version {version}, and only {VERSION} is known here")
    return int(generation)


def require_admitted(saved: SavedAssociation, config: DTLSConfig, now: datetime) -> None:
    """Judge again what a handshake would judge, as far as a snapshot says enough.

    The peer's chain is not in it: whoever stops trusting an authority revokes its peers or deletes their
    snapshots.

    Args:
        saved: what is to live on.
        config: what is spoken here now.
        now: the wall-clock time, aware.

    Raises:
        SnapshotRejected: it must not live on.
    """
    if saved.keys.suite not in config.usable_suites(is_client=saved.is_client):
        raise SnapshotRejected(f"there is no credential any more for its suite {saved.keys.suite.name}")
    if saved.kind not in config.admit:
        raise SnapshotRejected(f"its handshake was {saved.kind.value}, which is not admitted any more")
    peer = saved.peer
    if isinstance(peer, X509Identity) and now >= peer.not_after:
        raise SnapshotRejected("the peer's certificate has expired", where=peer.uri)
    if isinstance(peer, RawPublicKeyIdentity) and not config.believes_raw_key(peer):
        raise SnapshotRejected("the peer's key is not pinned any more", where=peer.uri)
    if config.counts_as_revoked(peer):
        raise SnapshotRejected("the peer was revoked", where=peer.uri)


def _suite_of(code: int, suites: Iterable[CipherSuite]) -> CipherSuite:
    for suite in suites:
        if suite.code == code:
            return suite
    raise SnapshotRejected(f"its cipher suite {code:#06x} is not spoken here any more")


@cache
def _keys_layout(mac_key_bytes: int, key_bytes: int, iv_bytes: int) -> struct.Struct:
    """Both directions' keys, one field each."""
    return struct.Struct(">" + f"{mac_key_bytes}s{key_bytes}s{iv_bytes}s" * 2)


def _malformed() -> SnapshotRejected:
    return SnapshotRejected("the snapshot was not written by this version of the program")
