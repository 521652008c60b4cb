"""What a command does for every server that it runs."""

from __future__ import annotations

import gc

from twoway.cli.daemon import run_until_signalled


def test_what_a_server_has_made_when_it_is_ready_is_out_of_the_collectors_way(capsys):
    frozen = []

    async def serve(ready, trace):
        ready("coaps://localhost")
        frozen.append(gc.get_freeze_count())

    try:
        run_until_signalled(serve, verbose=False, as_json=False)
    finally:
        gc.unfreeze()
    assert capsys.readouterr().out == "ready coaps://localhost\n"
    assert frozen[0] > 10_000
