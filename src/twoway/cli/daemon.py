"""Servers in the foreground: they say when they are ready, and end in order on Ctrl-C or SIGTERM."""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
from collections.abc import Callable, Coroutine

from twoway.cli.console import complain, faults_to_stderr, say_json, trace_to_json, trace_to_stderr
from twoway.clock import SystemClock
from twoway.errors import TwowayError
from twoway.terminal import printable
from twoway.trace import Trace

Serve = Callable[[Callable[[str], None], Trace], Coroutine[object, object, None]]
"""Takes whom to tell that it is ready, and a trace; serves until cancelled."""


def run_until_signalled(
    serve: Serve, *, verbose: bool, as_json: bool, hung_up: Callable[[], str] | None = None
) -> None:
    """Run a server until a signal asks it to stop; then return, after it has closed everything.

    Args:
        serve: the server.
        verbose: whether to say on standard error all that happens, and not only faults.
        as_json: whether to print events as lines of JSON.
        hung_up: what SIGHUP does, and says in a sentence; run in a thread. None: SIGHUP ends the program.
    """
    clock = SystemClock()
    watched = trace_to_stderr(clock) if verbose else faults_to_stderr(clock)
    trace = trace_to_json() if as_json else watched

    def ready(uri: str) -> None:
        # What is there now stays for as long as the server runs. To walk through all of it took the collector
        # a tenth of a second now and then, in which nobody was answered.
        gc.collect()
        gc.freeze()
        if as_json:
            say_json({"event": "ready", "uri": uri})
        else:
            print(f"ready {uri}", flush=True)

    run_until_cancelled(serve(ready, trace), hung_up)


def run_until_cancelled(
    work: Coroutine[object, object, None], hung_up: Callable[[], str] | None = None
) -> None:
    """Run ``work`` until it ends or Ctrl-C or SIGTERM cancel it; either is a good end."""
    asyncio.run(_run_until_signalled(work, hung_up))


async def _run_until_signalled(
    work: Coroutine[object, object, None], hung_up: Callable[[], str] | None
) -> None:
    task = asyncio.create_task(work)
    stopped = False

    def stop() -> None:
        nonlocal stopped
        stopped = True
        task.cancel()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    if hung_up is not None:
        loop.add_signal_handler(signal.SIGHUP, lambda: loop.run_in_executor(None, _say_result, hung_up))
    try:
        await task
    except asyncio.CancelledError:
        if not stopped:
            raise


def _say_result(action: Callable[[], str]) -> None:
    try:
        print(f"twoway: {printable(action())}", file=sys.stderr, flush=True)
    except TwowayError as error:
        complain(str(error))
