"""Configurations beyond the ordinary two: raw public keys, one-sided, anonymous, and the world of 2013."""

from __future__ import annotations

from dataclasses import fields

from dtls_pair import certificate_of
from small_pki import Credential, PrivateKey, small_pki

from twoway.dtls import DTLSConfig, HandshakeKind, Legacy2013Profile, RawKeyCredential, suites

ANONYMOUS_ALONE = DTLSConfig(admit=frozenset({HandshakeKind.ANONYMOUS}))
"""Nobody proves anything."""


def legacy(config: DTLSConfig, **changes: object) -> Legacy2013Profile:
    """The same configuration in the legacy profile, with its suites where the ordinary ones were meant."""
    ordinary = DTLSConfig.__dataclass_fields__["suites"].default
    values = {each.name: getattr(config, each.name) for each in fields(config)}
    if config.suites == ordinary:
        del values["suites"]
    return Legacy2013Profile(**{**values, **changes})


def raw_key_configs(
    client: PrivateKey | None = None, server: PrivateKey | None = None, **changes: object
) -> tuple[DTLSConfig, DTLSConfig]:
    """A client and a server with raw public keys alone, each of which has pinned the other's."""
    mine = RawKeyCredential.of(client or small_pki().subscriber.private_key)
    yours = RawKeyCredential.of(server or small_pki().publisher_p256.private_key)
    return (
        DTLSConfig(raw_key=mine, raw_key_pins=frozenset({yours.pin}), **changes),  # type: ignore[arg-type]
        DTLSConfig(raw_key=yours, raw_key_pins=frozenset({mine.pin}), **changes),  # type: ignore[arg-type]
    )


def kinds(*admitted: HandshakeKind) -> frozenset[HandshakeKind]:
    """A policy."""
    return frozenset(admitted)


def one_sided_client(**changes: object) -> DTLSConfig:
    """A client that judges the server and proves nothing itself."""
    changes = {"admit": kinds(HandshakeKind.SERVER_AUTHENTICATED), **changes}
    return DTLSConfig(trust=small_pki().trust, **changes)  # type: ignore[arg-type]


def one_sided_server(credential: Credential | None = None, **changes: object) -> DTLSConfig:
    """A server that proves itself and judges nobody."""
    changes = {"admit": kinds(HandshakeKind.SERVER_AUTHENTICATED), **changes}
    certificate = certificate_of(credential or small_pki().publisher_p256)
    return DTLSConfig(certificate=certificate, **changes)  # type: ignore[arg-type]


def rsa_transport_configs(**changes: object) -> tuple[Legacy2013Profile, Legacy2013Profile]:
    """A client and a server that speak RSA key transport alone, both with certificates."""
    pki = small_pki()
    alone = {"suites": (suites.RSA_AES_128_CBC_SHA256,), **changes}
    return (
        Legacy2013Profile(certificate=certificate_of(pki.subscriber), trust=pki.trust, **alone),  # type: ignore[arg-type]
        Legacy2013Profile(certificate=certificate_of(pki.publisher_2013), trust=pki.trust, **alone),  # type: ignore[arg-type]
    )
