"""The access control server whose tickets count here, and the keys with which it signs them.

It owns what a publisher knows of its AC. It must never believe a key that the AC did not name itself, be it
by its certificate at the start or by its key set over an association on which it proved who it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from twoway.tickets import (
    DEFAULT_NUMBERS,
    COSERejected,
    ExiLedger,
    FreshNonces,
    ProvisionalNumbers,
    SharedSecret,
    SigningKey,
    Ticket,
    TicketVerifier,
    TrustedIssuer,
    cose,
    sequence_of,
)


class Authority:
    """One AC.

    Args:
        token_uri: its token endpoint, for hints.
        issuer: its identity URI.
        audience: the publisher's own identity URI, which tickets must name.
        keys: the public keys that sign its tickets.
        certified_until: the end of its certificate.
        secret: what it shares with this publisher, and encrypts tickets with; None where it does not.
        nonces: gives out the nonces that tickets have to carry; None where none are asked for.
        exi_ledger: for a publisher without a clock: which tickets it has seen.
        numbers: what drafts call the hash of a certificate.
    """

    def __init__(
        self,
        *,
        token_uri: str,
        issuer: str,
        audience: str,
        keys: Sequence[SigningKey],
        certified_until: datetime,
        secret: SharedSecret | None = None,
        nonces: FreshNonces | None = None,
        exi_ledger: ExiLedger | None = None,
        numbers: ProvisionalNumbers = DEFAULT_NUMBERS,
    ) -> None:
        self.token_uri = token_uri
        self.issuer = issuer
        self.valid_until = certified_until
        """Nothing tells when a ticket was signed, so none counts after the end of the AC's certificate."""
        self._nonces = nonces
        self._audience = audience
        self._secret = secret
        self._exi_ledger = exi_ledger
        self._numbers = numbers
        self._take(keys)

    @property
    def verifier(self) -> TicketVerifier:
        """Judges tickets by the keys that are known now."""
        return self._verifier

    @property
    def key_ids(self) -> frozenset[bytes]:
        """The names of these keys."""
        return self._key_ids

    def nonce(self, now: datetime) -> bytes | None:
        """Return a new nonce that the next ticket has to carry, 32 bytes; None where none is asked for."""
        return None if self._nonces is None else self._nonces.issue(now)

    def learn(self, keys: Sequence[SigningKey], *, certified_until: datetime) -> bool:
        """Take the AC's word for which keys sign its tickets now; what it does not list counts no more.

        Args:
            keys: its key set.
            certified_until: the end of the certificate that it proved when it told them.

        Returns:
            Whether the keys are others than before.
        """
        self.valid_until = max(self.valid_until, certified_until)
        before = self._key_ids
        self._take(keys)
        return self._key_ids != before

    def protected(self, ticket: Ticket) -> bool:
        """Whether a verified ticket is protected by a key that still counts."""
        try:
            return cose.parse1_untrusted(ticket.encoded).key_id in self._key_ids
        except COSERejected:
            return self._secret is not None  # it is encrypted, and the secret does not change while we run

    def note_revoked(self, ticket: Ticket) -> None:
        """Let a revoked ticket that lives from first sight on count as expired (RFC 9770 section 11.1).

        The book on the disk knows it already: it was written down before the ticket counted.
        """
        if ticket.exi is not None and self._exi_ledger is not None:
            self._exi_ledger.note_revoked(sequence_of(ticket.ticket_id, self._audience))

    def _take(self, keys: Sequence[SigningKey]) -> None:
        public_keys = {key.key_id: key.public_key for key in keys}
        self._key_ids = frozenset(public_keys)
        self._verifier = TicketVerifier(
            audience=self._audience,
            issuers=[TrustedIssuer(self.issuer, tuple(public_keys.values()), self._secret)],
            nonces=self._nonces,
            exi_ledger=self._exi_ledger,
            numbers=self._numbers,
        )
