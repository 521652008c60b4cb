"""What a publisher spends on judging a ticket: signed, and encrypted for one with a pre-shared secret.

    .venv/bin/python bench/verification.py            # prints a table, against the aim of 150 us
    .venv/bin/python bench/verification.py --quick    # only shows that it runs

Each verification is timed by itself, by the processor's time of this thread, all nine checks in it: envelope,
signature or decryption, claims, issuer, time, audience, scope, profile, key. Beside it stand the bare
primitives of `cryptography` on the same bytes: the signature's check alone; the decryption and the derivation
of the holder's key alone. All of them take turns, so that a noisy machine disturbs all alike.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import cbor2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.ciphers.aead import AESCCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from run import table

from twoway import strict_cbor
from twoway.tickets import (
    Confirmation,
    Method,
    Scope,
    SharedSecret,
    SymmetricConfirmation,
    Ticket,
    TicketIssuer,
    TicketVerifier,
    TrustedIssuer,
    fresh_kid,
    ticket_id,
)
from twoway.tickets.iana import HeaderParameter

AIM_MICROSECONDS = 150
ROUNDS, EACH = 20, 500
QUICK_ROUNDS, QUICK_EACH = 1, 5
LIFETIME_SECONDS = 600
AC, PUBLISHER, SUBSCRIBER = (f"urn:dev:org:32473-{name}" for name in ("ac", "meter", "subscriber"))
RIGHTS = Scope((("/power", Method.GET), ("/energy", Method.GET)))
COORDINATE_BYTES = 32


@dataclass
class Row:
    """One kind of work, and how long each time of it took."""

    name: str
    work: Callable[[], object]
    aim: float | None = None
    nanoseconds: list[int] = field(default_factory=list)

    def measure(self, times: int) -> None:
        for _ in range(times):
            began = time.thread_time_ns()
            self.work()
            self.nanoseconds.append(time.thread_time_ns() - began)

    @property
    def cells(self) -> list[str]:
        median = statistics.median(self.nanoseconds) / 1000
        p99 = statistics.quantiles(self.nanoseconds, n=100)[98] / 1000
        verdict = "" if self.aim is None else "met" if median <= self.aim else "**missed**"
        aim = "" if self.aim is None else f"{self.aim:.0f}"
        return [self.name, f"{median:.1f}", f"{p99:.1f}", aim, verdict]


def rows(now: datetime) -> list[Row]:
    """Issue one ticket of each kind and say what is to be measured."""
    signing_key = ec.generate_private_key(ec.SECP256R1())
    secret = SharedSecret(os.urandom(32))
    issuer = TicketIssuer(issuer=AC, private_key=signing_key, entropy=os.urandom)
    public_keys = (signing_key.public_key(),)

    def issue(confirmation: Confirmation | SymmetricConfirmation, secret: SharedSecret | None) -> Ticket:
        return issuer.issue(
            subject=SUBSCRIBER,
            audience=PUBLISHER,
            scope=RIGHTS,
            confirmation=confirmation,
            ticket_id=ticket_id(PUBLISHER, 1),
            now=now,
            lifetime_seconds=LIFETIME_SECONDS,
            not_after=now + timedelta(days=1),
            secret=secret,
        )

    def verifying(ticket: Ticket, trusted: TrustedIssuer) -> Callable[[], object]:
        verifier = TicketVerifier(audience=PUBLISHER, issuers=[trusted])
        return lambda: verifier.verify_untrusted(ticket.encoded, now=now)

    holder = ec.generate_private_key(ec.SECP256R1()).public_key()
    spki = holder.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    signed = issue(Confirmation.of_key(spki), None)
    compact = issue(Confirmation.of_key(spki, compact=True), None)
    encrypted = issue(SymmetricConfirmation(fresh_kid(os.urandom), derived=True), secret)
    by_key, by_secret = TrustedIssuer(AC, public_keys), TrustedIssuer(AC, secret=secret)
    return [
        Row("signed (ES256)", verifying(signed, by_key), AIM_MICROSECONDS),
        Row("signed, key by thumbprint", verifying(compact, by_key), AIM_MICROSECONDS),
        Row("primitives: one ECDSA verification", bare_signature(signed.encoded, public_keys[0])),
        Row("encrypted (AES-CCM), key derived", verifying(encrypted, by_secret), AIM_MICROSECONDS),
        Row("primitives: AES-CCM and three HKDF", bare_decryption(encrypted.encoded, secret)),
    ]


def bare_signature(ticket: bytes, key: ec.EllipticCurvePublicKey) -> Callable[[], object]:
    """The check of the ticket's signature, everything else prepared."""
    protected, _, payload, raw = cbor2.loads(ticket).value.value
    data = strict_cbor.encode(["Signature1", protected, b"", payload])
    r, s = raw[:COORDINATE_BYTES], raw[COORDINATE_BYTES:]
    signature = encode_dss_signature(int.from_bytes(r), int.from_bytes(s))
    return lambda: key.verify(signature, data, ec.ECDSA(hashes.SHA256()))


def bare_decryption(ticket: bytes, secret: SharedSecret) -> Callable[[], object]:
    """The decryption of the ticket and the derivation of its keys, everything else prepared."""
    protected, _, ciphertext = cbor2.loads(ticket).value.value
    nonce = cbor2.loads(protected)[HeaderParameter.IV]
    authenticated = strict_cbor.encode(["Encrypt0", protected, b""])
    key = secret.token_key()

    def derive(length: int) -> bytes:
        return HKDF(algorithm=hashes.SHA256(), length=length, salt=b"", info=ticket).derive(key)

    def work() -> None:
        derive(16)
        AESCCM(key).decrypt(nonce, ciphertext, authenticated)
        derive(32)
        derive(16)

    return work


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="only see that it runs")
    options = parser.parse_args()
    rounds, each = (QUICK_ROUNDS, QUICK_EACH) if options.quick else (ROUNDS, EACH)
    measured = rows(datetime.now(UTC))
    for _ in range(rounds):
        for row in measured:
            row.measure(each)
    if options.quick:
        print("A quick run: it shows that everything runs; the figures are worth nothing.\n")
    print(table(["microseconds", "median", "99 %", "aim", ""], [row.cells for row in measured]))


if __name__ == "__main__":
    main()
