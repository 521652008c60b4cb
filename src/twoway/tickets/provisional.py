"""Numbers that drafts suggest and IANA has not assigned yet.

Owns nothing that is final: implementations of different drafts differ here, so whoever writes or reads one
of these is handed the set to use. It is a table of the actors' files, since the operator alone knows which
draft the others speak; AC, publishers and subscribers of one deployment have to have the same. When IANA
assigns them they move to ``iana``.
"""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from twoway.configuration import Section
from twoway.tickets.iana import ConfirmationMethod

_SMALLEST, _LARGEST = -(1 << 63), (1 << 63) - 1
"""The whole numbers that TOML promises; CBOR takes all of them as keys."""


class ProvisionalNumbers(Section):
    """``[provisional]``: CWT confirmation methods of draft-ietf-ace-edhoc-oscore-profile-11, which
    draft-ietf-ace-authcred-dtls-profile-04 uses for certificates. The defaults are the newest draft's."""

    x5t: int = Field(6, ge=_SMALLEST, le=_LARGEST)
    """Hash of a certificate, ``[algorithm, digest]`` (RFC 9360 section 2). Earlier drafts had 8."""
    x5chain: int = Field(24, ge=_SMALLEST, le=_LARGEST)
    """Certificates by value, the leaf first (RFC 9360 section 2). Earlier drafts had 6."""

    @model_validator(mode="after")
    def _stand_for_one_thing_each(self) -> Self:
        for name, number in (("x5t", self.x5t), ("x5chain", self.x5chain)):
            if number in set(ConfirmationMethod):
                raise ValueError(f"{number} stands for {ConfirmationMethod(number).name} and not for {name}")
        if self.x5t == self.x5chain:
            raise ValueError(f"x5t and x5chain are both {self.x5t}")
        return self


DEFAULT_NUMBERS = ProvisionalNumbers()
"""The numbers of the newest draft."""
