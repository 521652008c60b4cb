"""Publishers that prove the secret which they share with the AC, since they have no certificate.

It owns which of them a ``psk_identity`` names, each time by what is known now: a secret that was removed or
replaced proves nothing any more, on associations that run as little as in handshakes. It must never take
anybody but a registered publisher for one, whatever a name says.
"""

from __future__ import annotations

import hmac

from twoway.ac.picture import Picture
from twoway.ac.requester import NotAdmitted
from twoway.identity import PSKIdentity
from twoway.tickets import SharedSecret


def association_key_untrusted(psk_identity: bytes, picture: Picture) -> bytes:
    """Return the key that a peer in a handshake has to prove, 16 bytes.

    Args:
        psk_identity: what it names its key (:meth:`SharedSecret.association_name`).
        picture: what is known now.

    Raises:
        NotAdmitted: it names no publisher with a secret.
    """
    _, secret = _named_untrusted(psk_identity, picture)
    return secret.association_key()


def keyed_publisher(identity: PSKIdentity, picture: Picture) -> str:
    """Return the identity URI of the publisher that proved its secret.

    Args:
        identity: what the handshake proved, at a time when the picture may have been another.
        picture: what is known now.

    Raises:
        NotAdmitted: it is no publisher any more, or has another secret now.
    """
    publisher, _ = _named_untrusted(identity.psk_identity, picture)
    return publisher


def _named_untrusted(psk_identity: bytes, picture: Picture) -> tuple[str, SharedSecret]:
    try:
        publisher = psk_identity.decode().rpartition("#")[0]
    except UnicodeDecodeError:
        raise NotAdmitted("the name of the key is not text", is_unknown=True) from None
    secret = picture.secrets.get(publisher)
    if secret is None or picture.directory.publisher(publisher) is None:
        raise NotAdmitted("no publisher with a secret has this name", is_unknown=True)
    if not hmac.compare_digest(secret.association_name(publisher), psk_identity):
        raise NotAdmitted("the publisher has another secret now", is_unknown=True)
    return publisher, secret
