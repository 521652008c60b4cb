"""Where a publisher without a clock keeps which tickets it has seen (RFC 9200 section 5.10.3).

It owns one small file, replaced in one step. It must never let a ticket count before the file says that it
was seen: whoever pulls the plug in between would give it a second life.
"""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

from twoway.errors import CallerError, ConfigurationError, StorageError
from twoway.pki.files import PRIVATE_MODE, read_file, write_file
from twoway.tickets import ExiLedger, Ticket, TicketReason, TicketRejected


class ExiFile:
    """The ledger of one publisher on its disk.

    Args:
        path: the file; it is made when it is missing, which says that no such ticket was ever seen.

    Raises:
        ConfigurationError: it holds something else, or cannot be read or made.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.ledger = self._load()
        """The ledger; a ticket in it counts once :meth:`record` has returned for it."""
        self._stored = b""
        self._writing = threading.Lock()
        try:
            self._store(self.ledger.to_bytes())
        except StorageError as error:
            raise ConfigurationError(error.what, where=str(path), remedy="let it be written to") from None

    def record(self, ticket: Ticket) -> None:
        """Store that a ticket was seen, unless the file says so already. It waits for the disk.

        Args:
            ticket: verified, so that it is in the ledger.

        Raises:
            TicketRejected: the disk refuses, so that no ticket may count that it does not know.
        """
        if not self._holds(ticket):
            self._store_or_reject(self.ledger.to_bytes())

    async def record_aside(self, ticket: Ticket) -> None:
        """Do the same in a thread, so that everybody else is served while the disk is waited for.

        Raises:
            TicketRejected: as :meth:`record`.
        """
        if not self._holds(ticket):
            await asyncio.to_thread(self._store_or_reject, self.ledger.to_bytes())

    def _holds(self, ticket: Ticket) -> bool:
        """Whether the number of a ticket is one that counts as seen after a restart."""
        return ticket.exi is None or ExiLedger.counts_as_seen(self._stored, ticket.sequence)

    def _load(self) -> ExiLedger:
        if not self._path.exists():
            return ExiLedger()
        try:
            return ExiLedger.from_bytes(read_file(self._path))
        except CallerError as error:
            raise ConfigurationError(
                error.what,
                where=str(self._path),
                remedy="have the AC issue new tickets after deleting it, for all old ones count anew then",
            ) from None

    def _store_or_reject(self, content: bytes) -> None:
        try:
            self._store(content)
        except StorageError:
            raise TicketRejected(TicketReason.NOT_RECORDED) from None

    def _store(self, content: bytes) -> None:
        # The number only grows, and with it the bytes, all of one length. Of two threads the one with the
        # lower number may come second, and must not undo what the other has written.
        with self._writing:
            if content > self._stored:
                write_file(self._path, content, mode=PRIVATE_MODE)
                self._stored = content
