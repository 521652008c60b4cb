"""The loss matrix in short: every cell, a few handshakes each. `make loss` measures the whole."""

from __future__ import annotations

import pytest
from loss_matrix import CREDENTIALS, PRESETS, Cell, Handshake, Row, box_of, cells, measure

HANDSHAKES = 4
EVERY_CELL = pytest.mark.parametrize(("preset", "credential"), [(p, c) for p in PRESETS for c in CREDENTIALS])


@EVERY_CELL
def test_every_handshake_succeeds_on_every_path_of_the_matrix(preset, credential):
    of_these = [cell for cell in cells() if (cell.preset, cell.credential) == (preset, credential)]
    assert of_these
    for cell in of_these:
        row = measure(cell, handshakes=HANDSHAKES, seed=1000)
        assert not row.failures, (cell, row.failures)
        assert row.success_percent == 100


def test_a_cells_path_loses_what_it_says():
    for cell in cells():
        box = box_of(cell, seed=5)
        for number in range(2000):
            box.take(b"datagram", to_server=True, now=float(number))
        arrived = len(box.release(1e9))
        assert abs(arrived / 2000 - (1 - cell.loss) * 1.1) < 0.05, cell


def test_a_handshake_that_fails_is_not_counted_as_one_that_succeeded():
    """On a path that loses everything nobody connects, and the row says so."""
    row = measure(Cell(next(iter(PRESETS)), "psk", 1280, 1.0), handshakes=2, seed=1)
    assert row.success_percent == 0
    assert all("did not answer in time" in failed.failure for failed in row.failures)


def test_quantiles_are_of_the_handshakes_that_succeeded():
    cell = next(cells())
    row = Row(cell, [Handshake(n, None, float(n), n) for n in range(101)] + [Handshake(0, "why", 1e9, 0)])
    assert row.quantiles("seconds") == (50.0, 95.0)
    assert round(row.success_percent, 1) == 99.0
