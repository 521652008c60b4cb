"""RSA key transport, the world of 2013: Bleichenbacher's oracle (ROBOT), FREAK, triple handshakes.

An oracle is whatever lets a client tell one ciphertext from another: an alert, a datagram more or less, a
moment earlier or later. Here all that the server sends is compared, byte by byte and with its times, for
ciphertexts that are wrong in every way that PKCS #1 knows. How long the processor takes is not measured.
"""

from __future__ import annotations

import functools

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from dtls_cases import assert_refused, run
from dtls_pair import Pair, certificate_of, server_config
from dtls_rogue import changed, client_hello, inserted, rogue_client, rogue_server, server_hello, without
from small_pki import key_usage, rsa_key, small_pki

from twoway.dtls import AlertDescription, CertificateCredential, DTLSConfig, Legacy2013Profile, suites
from twoway.dtls.client import ClientHandshake
from twoway.dtls.events import DecryptionRequest
from twoway.dtls.messages.handshake import HandshakeType
from twoway.dtls.messages.hello import ExtensionType
from twoway.dtls.messages.key_exchange import ClientRSA
from twoway.dtls.record import DTLS_1_0, DTLS_1_2
from twoway.dtls.server import ServerHandshake

SUITES = (suites.RSA_AES_128_CBC_SHA256,)
NUMBERS = rsa_key().public_key().public_numbers()
SIZE = 256
VERSION = DTLS_1_2.to_bytes(2, "big")
PREMASTER = VERSION + bytes(46)
FILLING = b"\x5a" * (SIZE - 3 - len(PREMASTER))


def legacy(credential, **changes) -> Legacy2013Profile:
    return Legacy2013Profile(
        certificate=certificate_of(credential), trust=small_pki().trust, suites=SUITES, **changes
    )


@functools.cache
def transporter():
    """A server whose certificate allows key transport."""
    usage = key_usage("digital_signature", "key_encipherment")
    return small_pki().ca.mint("transporter", key=rsa_key(), usage=usage)


def pair_with(**options) -> Pair:
    return Pair(legacy(small_pki().subscriber), legacy(transporter()), **options)


def raw(block: bytes) -> bytes:
    """What the server's public key makes of these bytes, whatever they are: textbook RSA."""
    number = pow(int.from_bytes(block, "big"), NUMBERS.e, NUMBERS.n)
    return number.to_bytes(SIZE, "big")


def padded(premaster: bytes, *, filling: bytes | None = None) -> bytes:
    filling = b"\x5a" * (SIZE - 3 - len(premaster)) if filling is None else filling
    return b"\x00\x02" + filling + b"\x00" + premaster


CIPHERTEXTS = {
    "another premaster": raw(padded(PREMASTER)),
    "version lowered": raw(padded(DTLS_1_0.to_bytes(2, "big") + bytes(46))),
    "version of TLS": raw(padded(b"\x03\x03" + bytes(46))),
    "a byte short": raw(padded(PREMASTER[:-1])),
    "a byte long": raw(padded(PREMASTER + b"\x00")),
    "empty": raw(padded(b"")),
    "no separator": raw(b"\x00\x02" + b"\x5a" * (SIZE - 2)),
    "separator in the first eight": raw(padded(PREMASTER, filling=b"\x5a" * 4 + b"\x00" + FILLING[5:])),
    "separator one early": raw(padded(PREMASTER, filling=FILLING[:-1] + b"\x00")),
    "first byte": raw(b"\x01" + padded(PREMASTER)[1:])[-SIZE:],
    "block type 1": raw(b"\x00\x01" + b"\xff" * len(FILLING) + b"\x00" + PREMASTER),
    "block type 0": raw(bytes(SIZE - 48) + PREMASTER),
    "zero": bytes(SIZE),
    "one": bytes(SIZE - 1) + b"\x01",
    "modulus": NUMBERS.n.to_bytes(SIZE, "big"),
    "beyond the modulus": b"\xff" * SIZE,
    "a ciphertext too short": raw(padded(PREMASTER))[1:],
    "a ciphertext too long": b"\x00" + raw(padded(PREMASTER)),
    "no ciphertext": b"",
}


def heard_for(ciphertext: bytes) -> tuple[list[tuple[float, bytes]], object]:
    """All that the server sends to somebody who brings this ciphertext, with the times, and how it ends."""
    say = changed(HandshakeType.CLIENT_KEY_EXCHANGE, lambda body: ClientRSA(ciphertext).encode())
    heard: list[tuple[float, bytes]] = []
    pair = pair_with(client_handshake=rogue_client(say))

    def wire(sent):
        if not sent.to_server:
            heard.append((pair.now, sent.data))
        return [(0.0, sent.data)]

    pair.wire = wire
    run(pair)
    assert not pair.server.connected
    return heard, pair.server.closed


@pytest.mark.parametrize("wrong", list(CIPHERTEXTS)[1:])
def test_a_server_says_the_same_to_every_wrong_ciphertext(wrong):
    assert heard_for(CIPHERTEXTS[wrong]) == heard_for(CIPHERTEXTS["another premaster"])


def test_an_honest_client_is_connected():
    """The test above would be content with a server that never connects."""
    pair = pair_with().connect()
    assert pair.works()
    assert pair.client.connected.suite == SUITES[0].name


@pytest.mark.parametrize(
    "premaster",
    [DTLS_1_0.to_bytes(2, "big") + bytes(46), b"\x03\x03" + bytes(46), PREMASTER[:-1], PREMASTER + b"\x00"],
    ids=["version rolled back", "version of TLS", "a byte short", "a byte long"],
)
def test_a_premaster_that_is_not_as_it_must_be_connects_nobody_though_both_know_it(premaster):
    """The client derives its keys from what it encrypted, so nothing but the server's check is in the way. A
    version that is not the hello's says that somebody has changed one of the two."""
    say = changed(HandshakeType.CLIENT_KEY_EXCHANGE, lambda body: ClientRSA(raw(padded(premaster))).encode())

    def _derive_keys(self, own: bytes) -> None:
        ClientHandshake._derive_keys(self, premaster)

    pair = run(pair_with(client_handshake=rogue_client(say, _derive_keys=_derive_keys)))
    assert not pair.server.connected
    assert not pair.client.connected


def test_the_premaster_of_the_test_above_connects_where_it_is_as_it_must_be():
    say = changed(HandshakeType.CLIENT_KEY_EXCHANGE, lambda body: ClientRSA(raw(padded(PREMASTER))).encode())

    def _derive_keys(self, own: bytes) -> None:
        ClientHandshake._derive_keys(self, PREMASTER)

    assert run(pair_with(client_handshake=rogue_client(say, _derive_keys=_derive_keys))).works()


@pytest.mark.parametrize("answer", [None, b"", b"\x00" * 48, VERSION + bytes(45), VERSION + bytes(47)])
def test_a_key_elsewhere_that_finds_no_premaster_shows_no_more_than_a_wrong_one(answer):
    """Whatever the hardware says, its refusal too, the handshake goes on and fails with the keys."""

    def outcome(said: bytes | None) -> tuple[list[bytes], object]:
        chain = transporter().chain
        elsewhere = CertificateCredential(chain, decrypter=object())  # type: ignore[arg-type] # asked by hand
        pair = Pair(
            legacy(small_pki().subscriber),
            Legacy2013Profile(certificate=elsewhere, trust=small_pki().trust, suites=SUITES),
        )
        pair.start()
        pair.run(until=0.9)
        (request,) = [event for event in pair.server.events if isinstance(event, DecryptionRequest)]
        pair.server.association.answer(request, said, pair.now)
        pair.run()
        assert not pair.server.connected
        return [sent.data for sent in pair.sent if not sent.to_server], pair.server.closed

    assert outcome(answer) == outcome(PREMASTER)


def test_without_the_legacy_profile_key_transport_is_neither_offered_nor_taken():
    client = legacy(small_pki().subscriber)
    pair = run(Pair(client, server_config(transporter())))
    assert_refused(pair, by="server", alert=AlertDescription.HANDSHAKE_FAILURE, why="in common")
    choose = server_hello(suite=SUITES[0].code)
    pair = run(Pair(server_handshake=rogue_server(choose)))
    assert_refused(pair, by="client", alert=AlertDescription.ILLEGAL_PARAMETER, why="not offered")
    assert not {suite.code for suite in DTLSConfig(psk_lookup={}.get).suites} & {0x2F, 0x3C}


def test_a_certificate_that_is_not_for_key_transport_is_refused():
    """One for signatures alone (RFC 5246 section 7.4.2): its key may be guarded for that use alone."""
    pair = run(Pair(legacy(small_pki().subscriber), legacy(small_pki().publisher_rsa)))
    alert = AlertDescription.UNSUPPORTED_CERTIFICATE
    assert_refused(pair, by="client", alert=alert, why="not for key transport")


def test_a_weaker_key_slipped_in_beside_key_transport_is_refused():
    """FREAK (CVE-2015-0204): a ServerKeyExchange where the suite has none, with a key to be factored."""
    slipped = inserted(HandshakeType.CERTIFICATE_REQUEST, HandshakeType.SERVER_KEY_EXCHANGE, bytes(70))
    pair = run(pair_with(server_handshake=rogue_server(slipped)))
    assert_refused(pair, by="client", alert=AlertDescription.UNEXPECTED_MESSAGE, why="ServerKeyExchange")


# --- triple handshake -------------------------------------------------------------------------------------

CLIENT_RANDOM, SERVER_RANDOM = b"c" * 32, b"s" * 32


def master_secret(pair: Pair, lines: list[str]) -> str:
    """The master secret of a handshake whose randoms and premaster somebody in the middle has chosen."""
    run(pair)
    (line,) = set(lines)
    assert line.split()[1] == CLIENT_RANDOM.hex()
    return line.split()[2]


def spliced(credential, monkeypatch, **changes) -> str:
    """One leg of the attack: the same randoms and the same premaster as on the other leg."""
    monkeypatch.setattr("twoway.dtls.client.make_premaster", lambda entropy: PREMASTER)
    lines: list[str] = []
    drop = without(ExtensionType.EXTENDED_MASTER_SECRET) if changes else dict

    def start(self) -> None:
        entropy, self._entropy = self._entropy, lambda count: CLIENT_RANDOM
        ClientHandshake.start(self)
        self._entropy = entropy

    def start_untrusted(self) -> None:
        entropy, self._entropy = self._entropy, lambda count: SERVER_RANDOM
        ServerHandshake.start_untrusted(self)
        self._entropy = entropy

    pair = Pair(
        legacy(small_pki().subscriber, unsafe_key_log=lines.append, **changes),
        legacy(credential, **changes),
        client_handshake=rogue_client(**client_hello(extensions=drop), start=start),
        server_handshake=rogue_server(start_untrusted=start_untrusted),
    )
    return master_secret(pair, lines)


def test_two_handshakes_cannot_be_made_to_end_with_the_same_master_secret(monkeypatch):
    """A server in the middle passes on the randoms and the premaster. With the extended master secret the
    legs differ, for each covers the certificate that was shown on it; without it they are the same."""
    usage = key_usage("digital_signature", "key_encipherment")
    middle_key = rsa.generate_private_key(65537, 2048)
    middle = small_pki().ca.mint("middle", key=middle_key, usage=usage)
    with_extension = {spliced(credential, monkeypatch) for credential in (transporter(), middle)}
    assert len(with_extension) == 2
    unbound = {"unsafe_allow_missing_extended_master_secret": True}
    without_it = {spliced(credential, monkeypatch, **unbound) for credential in (transporter(), middle)}
    assert len(without_it) == 1, "the test does make the attack"
