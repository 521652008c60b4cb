"""A narrator that keeps what it is told."""

from __future__ import annotations


class Listener:
    """Keeps every line; ``told`` is all of it as one text."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    @property
    def told(self) -> str:
        return "\n".join(self.lines)

    def open_step(self, number: int, title: str) -> None:
        self.lines.append(title)

    def say(self, text: str) -> None:
        self.lines.append(text)

    def conclude(self, text: str) -> None:
        self.lines.append(text)
