"""How the demonstration is told: to people, or as lines of JSON to programs."""

from __future__ import annotations

import json
from typing import Protocol

from rich.console import Console
from rich.markup import escape

from twoway.terminal import printable


class Narrator(Protocol):
    """Takes what happens, in order."""

    def open_step(self, number: int, title: str) -> None:
        """A step begins."""

    def say(self, text: str) -> None:
        """Something was sent, received or decided."""

    def conclude(self, text: str) -> None:
        """What the step has shown."""


class PlainNarrator:
    """Tells people, in colour where there is a terminal."""

    def __init__(self) -> None:
        self._console = Console(highlight=False, soft_wrap=True)

    def open_step(self, number: int, title: str) -> None:
        """Print a heading; number 0 is the setting of the scene."""
        heading = f"{number}. {title}" if number else title
        self._console.print(f"\n[bold]{escape(heading)}[/bold]")

    def say(self, text: str) -> None:
        """Print an indented line."""
        self._console.print(f"   {escape(printable(text))}")

    def conclude(self, text: str) -> None:
        """Print what was shown."""
        self._console.print(f"   [green]✓[/green] {escape(printable(text))}")


class JSONNarrator:
    """Tells programs: one object a line."""

    def __init__(self) -> None:
        self._step = 0

    def open_step(self, number: int, title: str) -> None:
        """Print the step's number and title."""
        self._step = number
        self._print("step", title)

    def say(self, text: str) -> None:
        """Print what happened."""
        self._print("happened", text)

    def conclude(self, text: str) -> None:
        """Print what was shown."""
        self._print("shown", text)

    def _print(self, kind: str, text: str) -> None:
        print(json.dumps({"step": self._step, kind: text}, ensure_ascii=False), flush=True)  # noqa: T201 # its job
