"""Where a publisher without a clock keeps which tickets it has seen (RFC 9200 section 5.10.3).

It owns one small file, replaced in one step. It must never let a ticket count before the file says that it
was seen: whoever pulls the plug in between would give it a second life.
"""

from __future__ import annotations

from pathlib import Path

from twoway.errors import CallerError, ConfigurationError, StorageError
from twoway.pki.files import PRIVATE_MODE, read_file, write_file
from twoway.tickets import ExiLedger, TicketReason, TicketRejected


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
        """The ledger; what changes in it counts once :meth:`record` has returned."""
        self._stored = b""
        try:
            self._store()
        except StorageError as error:
            raise ConfigurationError(error.what, where=str(path), remedy="let it be written to") from None

    def record(self) -> None:
        """Store what was seen since the last time, if anything.

        Raises:
            TicketRejected: the disk refuses, so that no ticket may count that it does not know.
        """
        try:
            self._store()
        except StorageError:
            raise TicketRejected(TicketReason.NOT_RECORDED) from None

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

    def _store(self) -> None:
        content = self.ledger.to_bytes()
        if content != self._stored:
            write_file(self._path, content, mode=PRIVATE_MODE)
            self._stored = content
