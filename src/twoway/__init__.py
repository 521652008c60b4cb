"""Two-way authentication for the Internet of Things.

Every party proves who it is in a DTLS handshake, an access control server (AC) issues tickets by
policy, and publishers verify identity and ticket by themselves before they hand out a reading.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from twoway.net import connect, serve

__all__ = ["connect", "serve"]


def __getattr__(name: str) -> Any:  # noqa: ANN401 what a module's attribute is, only the module knows
    # Met at the first use: whoever needs a leaf of this package should not pay for sockets and ciphers.
    if name in __all__:
        from twoway import net  # noqa: PLC0415

        return getattr(net, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
