"""How identities are named in logs, errors and audits."""

from __future__ import annotations

import hashlib

from twoway.identity import NAME_BYTES_MAX, PSKIdentity


def test_a_ticket_in_the_place_of_a_name_is_shown_by_its_hash():
    """RFC 9202 section 3.3.2 puts a whole ticket into psk_identity; it does not belong into a log."""
    ticket = b"\xd8\x3d" + bytes(range(256))
    shown = str(PSKIdentity(ticket))
    assert shown == f"psk-ticket:sha-256;{hashlib.sha256(ticket).hexdigest()}"
    assert not PSKIdentity(b"x" * NAME_BYTES_MAX).uri.startswith("psk-ticket:")
    assert PSKIdentity(b"x" * (NAME_BYTES_MAX + 1)).uri.startswith("psk-ticket:")


def test_different_names_of_keys_are_shown_differently():
    ticket = bytes(200)
    names = [ticket, b"sink", b"%", b"%25", b"sha-256;00", str(PSKIdentity(ticket)).encode()]
    assert len({PSKIdentity(name).uri for name in names}) == len(names)
