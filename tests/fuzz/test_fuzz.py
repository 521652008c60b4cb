"""A short run of every fuzz target, guided by coverage; `make fuzz SECONDS=...` runs longer."""

from __future__ import annotations

import platform
import random
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from targets import TARGETS, seeds

HERE = Path(__file__).parent
SECONDS = 5
PATIENCE = 100


@pytest.mark.parametrize("target", sorted(TARGETS))
def test_no_seed_breaks_a_promise(target):
    for seed in seeds(target):
        TARGETS[target](seed)


@pytest.mark.parametrize("target", sorted(TARGETS))
def test_no_noise_breaks_a_promise(target):
    noise = random.Random(1)
    for _ in range(60):
        TARGETS[target](noise.randbytes(noise.randrange(300)))


HAS_WHEEL = sys.platform == "linux" and platform.machine() == "x86_64" and sys.version_info < (3, 14)


@pytest.mark.skipif(not HAS_WHEEL, reason="atheris has no wheel for this platform")
@pytest.mark.parametrize("target", sorted(TARGETS))
def test_a_short_search_finds_nothing(target, tmp_path):
    command = [sys.executable, str(HERE / "run.py"), target, "--seconds", str(SECONDS)]
    ran = subprocess.run(
        [*command, "--corpus", str(tmp_path / "corpus")], capture_output=True, text=True, timeout=PATIENCE
    )
    assert ran.returncode == 0, ran.stderr[-4000:]
    (executed,) = [line for line in ran.stderr.splitlines() if "stat::number_of_executed_units" in line]
    assert int(executed.split()[-1]) > len(seeds(target)), "it has hardly begun"
