from __future__ import annotations

import pytest
from held_demo import HeldDemo


@pytest.fixture(scope="session")
def held(tmp_path_factory):
    """One held demonstration for all foreign clients of this test process."""
    with HeldDemo(tmp_path_factory.mktemp("demo") / "deployment") as demo:
        yield demo
