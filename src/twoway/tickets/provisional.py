"""Numbers that drafts suggest and IANA has not assigned yet.

Owns nothing that is final: implementations of different drafts differ here, so whoever writes or reads one
of these is handed the set to use. When IANA assigns them they move to ``iana``.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ProvisionalNumbers:
    """CWT confirmation methods of draft-ietf-ace-edhoc-oscore-profile-11, which
    draft-ietf-ace-authcred-dtls-profile-04 uses for certificates."""

    x5t: int = 6
    """Hash of a certificate, ``[algorithm, digest]`` (RFC 9360 section 2). Earlier drafts had 8."""
    x5chain: int = 24
    """Certificates by value, the leaf first (RFC 9360 section 2). Earlier drafts had 6."""


DEFAULT_NUMBERS = ProvisionalNumbers()
"""The numbers of the newest draft."""
