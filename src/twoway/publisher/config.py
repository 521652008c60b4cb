"""The publisher's configuration file: what an operator may write, as frozen values.

It owns the keys of ``publisher.toml``, how they belong together, and the reading of the pre-shared
keys that it names. It must never open a socket, a certificate or a source: that is the app's.

A publisher that proves itself by a certificate names its identity folder; one that has only
pre-shared keys names itself. Either may have pre-shared keys beside::

    identity = "identities/meter"
    listen = "127.0.0.1:5685"
    default_subscribers = ["urn:dev:org:32473-sink"]

    [ac]
    uri = "coaps://127.0.0.1:5684/token"
    certificate = "identities/ac/cert.pem"

    [[resource]]
    path = "/power"
    source = "p1"
    files = ["recorded:p1/kaifa-v4.2.txt"]
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from twoway.configuration import (
    CoapsURI,
    IdentityURI,
    Listen,
    Section,
    load_toml,
    parse_resource_path,
    read_key_file,
    validated_by,
)
from twoway.errors import ConfigurationError
from twoway.identity import PSKIdentity, identity_uri
from twoway.publisher.target import AUTHZ_INFO, WELL_KNOWN_CORE
from twoway.readings import recorded_file
from twoway.tickets import DEFAULT_NUMBERS, ProvisionalNumbers
from twoway.tickets.shared_secret import MAX_PUBLISHER_BYTES

REVOKED_SUFFIX = ".revoked"
"""Of the file with revoked tickets, which stands beside the configuration unless that says otherwise."""
RECORDED = "recorded:"
"""Prefix of a file that ships with the package."""

KEY_MAXIMUM_BYTES = 64
"""RFC 4279 section 5.3 asks every implementation for keys of this length; ours takes no longer ones."""

_PSK_IDENTITY_MAXIMUM_BYTES = 128
"""RFC 4279 section 5.3: identities of up to 128 bytes are what a peer can be relied on to take."""

_NAME_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-:._/")
"""RFC 8428 section 4.5.1: what names of SenML records are made of. A resource's path becomes part of one."""


def parse_subscriber(text: str) -> str:
    """Turn what an operator writes for a default subscriber into the URI that its identity will have.

    Args:
        text: ``psk:`` and the name of a pre-shared key, a ``urn:`` or ``dns:`` URI, or a short name.

    Raises:
        ConfigurationError: for anything else.
    """
    if text.startswith("psk:"):
        return PSKIdentity(text.removeprefix("psk:").encode()).uri
    return text if text.startswith("dns:") else identity_uri(text)


def parse_source_file(text: str) -> Path:
    """Turn ``recorded:NAME`` into the path of that shipped file, and anything else into a path as it stands.

    Raises:
        ConfigurationError: nothing of that name is shipped.
    """
    return recorded_file(text.removeprefix(RECORDED)) if text.startswith(RECORDED) else Path(text)


def _parse_path(text: str) -> str:
    path = parse_resource_path(text)
    segments = tuple(path.split("/")[1:])
    if not set(path) <= _NAME_CHARACTERS:
        raise ConfigurationError(
            f"{text!r} cannot be part of a reading's name",
            remedy="use letters, digits, and the characters - : . _ / in a path",
        )
    if segments in (AUTHZ_INFO, WELL_KNOWN_CORE) or set(segments) & {".", ".."}:
        raise ConfigurationError(f"the path {text!r} has a meaning of its own", remedy="take another one")
    return path


Subscriber = Annotated[str, validated_by(parse_subscriber)]
SourceFile = Annotated[Path, validated_by(parse_source_file)]
Interval = Annotated[float, Field(ge=0.05, le=86_400)]


class PSKSection(Section):
    """One ``[[psk]]``: a pre-shared key and its name."""

    identity: Annotated[str, Field(min_length=1)]
    """The ``psk_identity`` that a peer names it by, in UTF-8."""
    key_file: Path
    """A file of 0600 that holds the key in hexadecimal digits."""

    def read_key(self) -> bytes:
        """Read the key, 16 to 64 bytes.

        Raises:
            ConfigurationError: the file is missing, open to others, not hexadecimal, or of another length.
        """
        key = read_key_file(self.key_file)
        if len(key) > KEY_MAXIMUM_BYTES:
            raise ConfigurationError(
                f"the key is longer than {KEY_MAXIMUM_BYTES} bytes",
                where=str(self.key_file),
                remedy="write a shorter one, for instance with: openssl rand -hex 32",
            )
        return key

    @model_validator(mode="after")
    def _fits_the_wire(self) -> Self:
        if len(self.identity.encode()) > _PSK_IDENTITY_MAXIMUM_BYTES:
            raise ValueError(f"its identity is longer than {_PSK_IDENTITY_MAXIMUM_BYTES} bytes")
        return self


class ACSection(Section):
    """``[ac]``: the access control server whose tickets count here."""

    uri: CoapsURI
    """Its token endpoint, told to subscribers that come without a ticket."""
    certificate: Path | None = None
    """Its certificate: the leaf's identity issues tickets, its key signs them until others are learnt."""
    identity: IdentityURI | None = None
    """Its identity, where there is no certificate of it but a shared secret alone."""
    shared_secret_file: Path | None = None
    """A file of 0600 with the random bytes, in hexadecimal digits, that it shares with this publisher alone:
    tickets may then be encrypted with it and bound to symmetric keys (RFC 9202 section 3.3)."""
    pin: Literal["key", "certificate"] = "key"
    """``certificate``: a ticket has to name the certificate of its holder, beside its key."""
    cnonce: bool = False
    """Whether a ticket has to carry a nonce of ours (RFC 9200 section 5.3.1), so that it is a fresh one."""
    cnonce_lifetime: Annotated[int, Field(ge=1, le=86_400)] = 120
    """Seconds that a nonce is good for: as long as it takes to fetch a ticket."""
    exi_file: Path | None = None
    """For a publisher without a clock: where it keeps which tickets it has seen, which live so many seconds
    from then on (RFC 9200 section 5.10.3). Made at the first start; without it, old tickets count again."""
    follow: bool = True
    """Whether its list of revoked tickets and its signing keys are followed while we run (RFC 9770). We prove
    ourselves to it by our certificate; where there is none by the shared secret, and follow the list alone:
    tickets for us are encrypted then, and no key signs them."""
    revoked_file: Path | None = None
    """Where the list of revoked tickets is kept, so that a restart brings none of them back. Made at the
    first start; by default beside this file, with ``.revoked`` in the place of ``.toml``."""
    poll_interval: Annotated[float, Field(ge=0.05, le=86_400)] = 60.0
    """Seconds between two questions for both, beside the observations: so long may a revocation go unnoticed
    when somebody suppresses the notification."""
    require_fresh_trl: Annotated[float, Field(ge=1, le=604_800)] | None = None
    """Seconds after which tickets are no longer honoured if the AC was not heard of; without it tickets go on
    while the AC is unreachable."""
    introspect: bool = False
    """Whether the AC is asked about each ticket (RFC 9200 section 5.9). While it cannot be, no new
    ticket counts, and an old one no longer than its last answer holds."""
    introspection_holds_for: Annotated[float, Field(ge=0.2, le=86_400)] = 60.0
    """Seconds for which the AC's yes to a ticket holds."""
    raw_public_keys: bool = False
    """Whether a client may prove the key of its ticket without a certificate (RFC 9202 section 3.2)."""

    @model_validator(mode="after")
    def _can_be_believed(self) -> Self:
        if (self.certificate is None) == (self.identity is None):
            raise ValueError("give 'certificate', or 'identity' for an AC that a secret alone is shared with")
        if self.certificate is None and self.shared_secret_file is None:
            raise ValueError("without 'certificate' the key 'shared_secret_file' is needed")
        return self

    @model_validator(mode="after")
    def _asks_as_often_as_it_must(self) -> Self:
        if self.require_fresh_trl is not None and not self.follow:
            raise ValueError("'require_fresh_trl' needs 'follow'")
        if self.require_fresh_trl is not None and self.require_fresh_trl < 2 * self.poll_interval:
            raise ValueError("'require_fresh_trl' is less than two times 'poll_interval'")
        return self


class PlainSection(Section):
    """``[plain]``: a port without a handshake, for clients that bring their ticket first (RFC 9202, 3.2.2).

    What travels there can be read by everybody on the way: who asks for which rights at whom. Leave it out
    unless a foreign client needs it.
    """

    listen: Listen


class ResourceSection(Section):
    """One ``[[resource]]``: a path and where its readings come from."""

    path: Annotated[str, validated_by(_parse_path)]
    source: Literal["p1", "csv", "host"]
    """``p1``: recorded telegrams of a smart meter. ``csv``: a column of figures. ``host``: this machine."""
    type: Annotated[str, Field(pattern=r"^[a-z][a-z0-9.-]*$", max_length=60)] = "reading"
    """The resource type (``rt``) that ``/.well-known/core`` tells, RFC 6690 section 3.1."""
    interval: Interval = 1.0
    """Seconds between two readings."""
    files: tuple[SourceFile, ...] = ()
    """For ``p1``: the telegrams, replayed in this order and again."""
    file: SourceFile | None = None
    """For ``csv``: the figures."""
    name: str | None = None
    """For ``csv``: the name of the record."""
    unit: str | None = None
    """For ``csv``: its unit, of the SenML registry (RFC 8428 section 12.1)."""

    @model_validator(mode="after")
    def _has_what_its_source_needs(self) -> Self:
        given = {key for key in ("files", "file", "name", "unit") if getattr(self, key)}
        needed, allowed = {
            "p1": ({"files"}, {"files"}),
            "csv": ({"file", "name"}, {"file", "name", "unit"}),
            "host": (set[str](), set[str]()),
        }[self.source]
        if needed - given:
            raise ValueError(f"source {self.source!r} needs the key {min(needed - given)!r}")
        if given - allowed:
            raise ValueError(f"source {self.source!r} has no use for the key {min(given - allowed)!r}")
        return self


class PublisherConfig(Section):
    """Everything in ``publisher.toml``."""

    identity: Path | None = None
    """The identity folder, for a publisher with a certificate."""
    name: IdentityURI | None = None
    """The publisher's own identity, for one that has no certificate."""
    listen: Listen
    default_subscribers: tuple[Subscriber, ...] = ()
    """Identities that may read everything without a ticket."""
    psk: tuple[PSKSection, ...] = ()
    ac: ACSection | None = None
    plain: PlainSection | None = None
    provisional: ProvisionalNumbers = DEFAULT_NUMBERS
    """The numbers that drafts suggest: the same as at the AC."""
    resource: Annotated[tuple[ResourceSection, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _knows_who_it_is(self) -> Self:
        if self.identity is None and self.name is None:
            raise ValueError("give 'identity' (a folder), or 'name' for a publisher without a certificate")
        if self.identity is not None and self.name is not None:
            raise ValueError("the certificate in 'identity' already says the name: leave 'name' out")
        shares = self.ac is not None and self.ac.shared_secret_file is not None
        if self.identity is None and not self.psk and not shares:
            raise ValueError(
                "without 'identity' at least one [[psk]] is needed, or a secret shared with the AC"
            )
        return self

    @model_validator(mode="after")
    def _serves_somebody(self) -> Self:
        if not self.default_subscribers and self.ac is None:
            raise ValueError("nobody could read: give 'default_subscribers' or [ac]")
        keys = {PSKIdentity(section.identity.encode()).uri for section in self.psk}
        for uri in self.default_subscribers:
            if uri.startswith("psk:") and uri not in keys:
                raise ValueError(f"the default subscriber {uri!r} has no [[psk]]")
            if not uri.startswith("psk:") and self.identity is None:
                raise ValueError(
                    f"the default subscriber {uri!r} needs a certificate on our side: 'identity'"
                )
        return self

    @model_validator(mode="after")
    def _has_an_ac_where_it_needs_one(self) -> Self:
        if self.plain is not None and self.ac is None:
            raise ValueError("[plain] takes tickets, and without [ac] there are none")
        if self.ac is not None and self.identity is None:
            for key in ("introspect", "raw_public_keys"):
                if getattr(self.ac, key):
                    raise ValueError(f"{key!r} needs a certificate of ours: 'identity'")
            if self.ac.require_fresh_trl is not None and self.ac.shared_secret_file is None:
                raise ValueError("'require_fresh_trl' needs a certificate of ours, or 'shared_secret_file'")
        return self

    @model_validator(mode="after")
    def _has_a_name_that_fits_the_wire(self) -> Self:
        shares = self.ac is not None and self.ac.shared_secret_file is not None
        if shares and self.name is not None and len(self.name.encode()) > MAX_PUBLISHER_BYTES:
            raise ValueError(
                f"'name' is longer than {MAX_PUBLISHER_BYTES} bytes, and the AC is told it in a handshake"
            )
        return self

    @model_validator(mode="after")
    def _says_nothing_twice(self) -> Self:
        for key, values in (
            ("psk.identity", [section.identity for section in self.psk]),
            ("resource.path", [section.path for section in self.resource]),
        ):
            twice = [value for value, count in Counter(values).items() if count > 1]
            if twice:
                raise ValueError(f"{key} {twice[0]!r} stands there twice")
        return self


def load_config(path: Path) -> PublisherConfig:
    """Read and check ``publisher.toml``; relative paths count from its folder.

    Raises:
        ConfigurationError: one sentence that names the file, the key, and what to do.
    """
    config = load_toml(path, PublisherConfig)
    if config.ac is None or config.ac.revoked_file is not None:
        return config
    beside = path.absolute().with_suffix(REVOKED_SUFFIX)
    return config.model_copy(update={"ac": config.ac.model_copy(update={"revoked_file": beside})})
