"""docs/loss.md is what `make loss` writes: every cell is there, and every handshake succeeded."""

from __future__ import annotations

import re
from pathlib import Path

from loss_matrix import CREDENTIALS, PRESETS, cells

PAPER = Path(__file__).parents[2] / "docs" / "loss.md"


def rows(preset: str) -> list[list[str]]:
    """The cells of the table under a heading."""
    section = PAPER.read_text().partition(f"\n## {preset}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_the_paper_has_every_cell_of_the_matrix_and_no_other():
    headings = re.findall(r"^## (.*)$", PAPER.read_text(), re.MULTILINE)
    assert headings == list(PRESETS)
    for preset in PRESETS:
        wanted = [
            [CREDENTIALS[cell.credential], str(cell.mtu_bytes), f"{100 * cell.loss:g} %"]
            for cell in cells()
            if cell.preset == preset
        ]
        assert [row[:3] for row in rows(preset)] == wanted


def test_every_handshake_of_the_paper_succeeded():
    assert {row[3] for preset in PRESETS for row in rows(preset)} == {"100 %"}
    assert "Each row is 200 handshakes" in PAPER.read_text()
