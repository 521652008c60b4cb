"""The benchmarks run. What they measure is no matter of a test: nothing here is timed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[2] / "bench"
ROWS = {
    "P-256 handshakes, mutual",
    "the same, cookies on both sides",
    "the same, of strangers",
    "RSA-2048 handshakes, mutual",
    "PSK handshakes, GCM",
    "PSK handshakes, CCM_8",
    "resumed handshakes, P-256, ticket",
    "resumed handshakes, PSK, ticket",
    "64-byte round trips, GCM",
    "64-byte round trips, CCM_8",
    "64-byte round trips, with IDs",
    "bytes each of 40 idle, P-256, mutual",
    "bytes each of 40 idle, PSK",
    "seconds to save and restore 20, P-256, mutual",
    "seconds to save and restore 20, PSK",
    "bytes of a snapshot, P-256, mutual",
    "bytes of a snapshot, PSK",
}


def run(script: str, *arguments: str, status: int = 0) -> str:
    command = [sys.executable, str(BENCH / script), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == status, done.stderr
    return done.stdout + done.stderr


def test_one_run_measures_every_row_and_prints_it(tmp_path):
    samples = tmp_path / "samples.json"
    printed = run("run.py", "--quick", "--json", str(samples))
    measured = json.loads(samples.read_text())["samples"]
    assert set(measured) == ROWS
    for name, of_row in measured.items():
        assert f"| {name} " in printed
        assert of_row["twoway"]
        # Of a few associations the allocator may have had the memory already.
        lowest = 0 if "idle" in name else 1e-9
        assert all(sample >= lowest for of_stack in of_row.values() for sample in of_stack)


def test_figures_of_a_quick_run_are_not_written_into_the_paper():
    paper = BENCH.parent / "docs" / "performance.md"
    before = paper.read_bytes()
    assert "are not written" in run("run.py", "--quick", "--write", status=2)
    assert paper.read_bytes() == before


@pytest.mark.parametrize(
    ("script", "arguments"),
    [("memory.py", ["--idle", "20"]), ("snapshots.py", ["--associations", "10", "--rounds", "1"])],
)
def test_memory_and_snapshots_can_be_measured_alone(script, arguments):
    printed = run(script, *arguments)
    assert "P-256, mutual" in printed
    assert "PSK" in printed


def test_judging_tickets_is_measured_beside_its_primitives():
    printed = run("verification.py", "--quick")
    for row in ("signed (ES256)", "encrypted (AES-CCM), key derived", "primitives: one ECDSA verification"):
        assert f"| {row} " in printed


def test_tickets_are_issued_without_the_network_and_over_loopback():
    printed = run("tickets.py", "0.05")
    for title in ("waiting, without the network", "waiting, over loopback"):
        assert f"| {title} | tickets a second " in printed
    assert printed.count("\n| 32  ") == 2
