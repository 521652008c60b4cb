"""docs/interop.md: the interop matrix as people read it, written from cells and read back into them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from textwrap import fill
from typing import Final

from foreign_cases import OUR_SUITES, Case, Limit, We, short
from foreign_cells import STACKS
from foreign_matrix import Cell

PAPER: Final = Path(__file__).parents[2] / "docs" / "interop.md"

INTRODUCTION: Final = """\
# Interoperability

What our DTLS does with other people's: a matrix of real handshakes between `twoway.dtls` and programs of
other projects on one machine, each with data in both directions and a close_notify from the client at the
end. `make interop` carries all of it out and writes this page; the tests do the same and compare each cell
with what stands here (`tests/interop/test_matrix.py`). The cells are listed in
`tests/support/foreign_cells.py`.

How to read a row:

- *proofs*: what the client and then the server proves itself with. Certificates are chains of a leaf, an
  issuing CA and a root that the other side trusts; *P-256* and *RSA-2048* name the leaf's key.
- *tried*: the one cipher suite that we allow, without `TLS_` and `_WITH`, or what else is special.
- *we saw*: the group, `no cookie` where the server did not ask for one first, and the extensions in force by
  the ServerHello on the wire: extended master secret (`EMS`, RFC 7627), encrypt-then-MAC (`EtM`, RFC 7366),
  raw public keys (`RPK`, RFC 7250), record size limit (`RSL`, RFC 8449), maximum fragment length (`MFL`,
  RFC 6066). In rows that begin with *again*, of the second handshake, which resumed the session of the first
  (RFC 5246 section 7.3, RFC 5077). Or who refused the handshake with which alert.
- *they said*: the peer's own words about the suite, which have to mean ours, or about the refusal.
"""

MISSING: Final = "Suites of ours that its client does not offer, with everything allowed:"
WIDTH: Final = 118


def key(case: Case) -> tuple[str, str, str, str]:
    """What a row is found by."""
    client, server = (case.ours, case.theirs) if case.we is We.CLIENT else (case.theirs, case.ours)
    proofs = f"both {client}" if client is server else f"{client} to {server}"
    return case.peer, f"We are the {case.we}", proofs, case.tried


def render(cells: Mapping[Case, Cell], limits: Sequence[Limit]) -> str:
    """Write the page: a section for each stack, a table for each role, and what the stack cannot do."""
    return "\n".join([INTRODUCTION, *_versions(cells), *_sections(cells, limits)]).rstrip() + "\n"


def _versions(cells: Mapping[Case, Cell]) -> Iterator[str]:
    yield "| stack | version |"
    yield "|---|---|"
    for title, stack in STACKS.items():
        if any(case.peer == title for case in cells):
            yield f"| {title} | {stack.version()} |"
    yield ""


def _sections(cells: Mapping[Case, Cell], limits: Sequence[Limit]) -> Iterator[str]:
    for title, stack in STACKS.items():
        yield f"## {title}\n"
        yield from (fill(text, WIDTH, break_on_hyphens=False) + "\n" for text in stack.peculiarities)
        for we in We:
            rows = {case: cell for case, cell in cells.items() if case.peer == title and case.we is we}
            if rows:
                yield f"### We are the {we}\n"
                yield "| proofs | tried | we saw | they said |"
                yield "|---|---|---|---|"
                for case, cell in rows.items():
                    _, _, proofs, tried = key(case)
                    yield f"| {proofs} | {tried} | {cell.ours} | {cell.theirs} |"
                yield ""
        missing = [f"`{short(suite)}`" for suite in OUR_SUITES if suite.code not in stack.suites]
        if missing:
            sentence = f"{MISSING} {', '.join(missing)}."
            yield fill(sentence, WIDTH, break_on_hyphens=False) + "\n"
        own = [limit for limit in limits if limit.peer == title]
        if own:
            yield "### What it cannot\n"
            yield "| what | how that is known |"
            yield "|---|---|"
            yield from (f"| {limit.what} | {limit.evidence} |" for limit in own)
            yield ""


def limit_row(limit: Limit) -> tuple[str, str, str]:
    """What a page says about a limit, and of which stack."""
    return limit.peer, limit.what, limit.evidence


def read_limits(text: str) -> list[tuple[str, str, str]]:
    """Read the limits of a page."""
    rows, peer, heading = [], "", ""
    for line in text.splitlines():
        if line.startswith("## "):
            peer = line.removeprefix("## ")
        elif line.startswith("### "):
            heading = line.removeprefix("### ")
        elif line.startswith("| ") and heading == "What it cannot":
            what, how = (part.strip() for part in line.strip("|").split("|"))
            if what != "what":
                rows.append((peer, what, how))
    return rows


def read(text: str) -> dict[tuple[str, str, str, str], Cell]:
    """Read the rows of a page."""
    cells, peer, role = {}, "", ""
    for line in text.splitlines():
        if line.startswith("## "):
            peer = line.removeprefix("## ")
        elif line.startswith("### "):
            role = line.removeprefix("### ")
        elif line.startswith("| ") and role.startswith("We are"):
            proofs, tried, ours, theirs = (part.strip() for part in line.strip("|").split("|"))
            if proofs != "proofs":
                cells[peer, role, proofs, tried] = Cell(ours, theirs)
    return cells


def versions(text: str) -> dict[str, str]:
    """Read which version of each stack a page tells of."""
    table = text.partition("| stack | version |\n")[2].partition("\n\n")[0].splitlines()[1:]
    return dict(tuple(part.strip() for part in line.strip("|").split("|")) for line in table)
