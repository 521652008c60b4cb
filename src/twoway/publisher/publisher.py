"""A publisher, put together: the parts that a configuration asks for, and who tells whom what.

It owns which parts there are and their tasks. It must never decide anything, and never open a socket: it is
given the way to the AC, and gives out the site and the doors.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial

from twoway.clock import Clock
from twoway.coap import end_connection
from twoway.dtls import DTLSConfig, RawKeyCredential
from twoway.identity import RawPublicKeyIdentity, X509Identity
from twoway.net import Connection
from twoway.publisher.ac_link import ACLink
from twoway.publisher.admission import Admission, nothing_learnt, nothing_to_record
from twoway.publisher.authority import Authority
from twoway.publisher.authz_info import AuthzInfoResource
from twoway.publisher.config import ACSection, PublisherConfig
from twoway.publisher.credentials import Credentials
from twoway.publisher.discovery import DiscoveryResource
from twoway.publisher.exi_file import ExiFile
from twoway.publisher.following import Following
from twoway.publisher.guard import GuardedSite
from twoway.publisher.holdings import Holdings
from twoway.publisher.introspection import Introspection
from twoway.publisher.plain_door import PlainDoor
from twoway.publisher.refusal import AccessRefused
from twoway.publisher.resources import ReadingResource
from twoway.publisher.revocation import RevokedTickets
from twoway.publisher.revoked_file import RevokedFile
from twoway.publisher.service import AccessControl
from twoway.publisher.sessions import Sessions
from twoway.publisher.shared_keys import SharedKeys
from twoway.publisher.sources import Feed, open_source
from twoway.publisher.target import AUTHZ_INFO, WELL_KNOWN_CORE
from twoway.tickets import CreationHints
from twoway.trace import Trace

EXPIRY_INTERVAL = 0.5
"""Seconds between two looks at whose rights have ended. Nothing is sent to anybody after the end in any case,
for every notification is checked; this is how soon the peer is told. Sleeping until the next expiry would
be less work, and wrong as soon as somebody sets the wall clock."""
LAST_WORDS_TIMEOUT = 1.5
"""Seconds that a peer has to acknowledge the last 4.01 before its association is closed all the same: whoever
was revoked is gone within two seconds of the notification."""


class Publisher:
    """The parts of one publisher.

    Args:
        config: what its file says.
        credentials: what it proves itself with.
        authority: the AC whose tickets count; None where none do.
        link: the way to that AC; None for a publisher that cannot prove itself there.
        exi_file: for a publisher without a clock: where it keeps which tickets it has seen.
        revoked_file: for a publisher that follows the AC: where it keeps which tickets were revoked.
        clock: the time.
        trace: hears decisions and failures.
    """

    def __init__(
        self,
        config: PublisherConfig,
        credentials: Credentials,
        authority: Authority | None,
        link: ACLink | None,
        exi_file: ExiFile | None,
        revoked_file: RevokedFile | None,
        *,
        clock: Clock,
        trace: Trace,
    ) -> None:
        self._config, self._credentials, self._authority = config, credentials, authority
        self._clock, self._trace = clock, trace
        ac = config.ac
        follows = link is not None and ac is not None and ac.follow
        fresh_for = ac.require_fresh_trl if ac is not None else None
        revoked = None
        if follows:
            revoked = RevokedTickets(
                monotonic=clock.monotonic,
                fresh_for=fresh_for,
                known=revoked_file.hashes if revoked_file is not None else (),
                is_known=revoked_file is None or revoked_file.is_intact,
            )
        self._introspection = self._introspects(ac, link)
        self._holdings = Holdings(
            authority,
            revoked=revoked,
            wants_certificate_pin=ac is not None and ac.pin == "certificate",
            record=exi_file.record if exi_file is not None else None,
        )
        self._access = AccessControl(
            self._holdings,
            audience=credentials.name,
            default_subscribers=config.default_subscribers,
            vouches_for=self._introspection.vouches_for if self._introspection is not None else None,
            raw_public_keys=ac is not None and ac.raw_public_keys,
        )
        self._sessions = Sessions(
            self._access,
            end_connection=partial(end_connection, last_words_timeout=LAST_WORDS_TIMEOUT),
            trace=trace,
        )
        self._following = None
        if link is not None and ac is not None and authority is not None and revoked is not None:
            self._following = Following(
                link,
                authority=authority,
                revoked=revoked,
                revoked_file=revoked_file,
                holdings=self._holdings,
                sessions=self._sessions,
                learns_keys=credentials.dtls.certificate is not None,
                interval=ac.poll_interval,
                clock=clock,
                trace=trace,
            )
        self._admission = Admission(
            self._access,
            clock=clock,
            learn_keys=self._following.learn_keys if self._following is not None else nothing_learnt,
            introspection=self._introspection,
            record=exi_file.record_aside if exi_file is not None else nothing_to_record,
            trace=trace,
        )
        self.feeds: list[Feed] = []
        """From each source to its resource."""
        self.site = self._site()
        """What answers requests."""

    @property
    def dtls(self) -> DTLSConfig:
        """How peers are met."""
        dtls, ac = self._credentials.dtls, self._config.ac
        if ac is not None and ac.shared_secret_file is not None:
            keys = SharedKeys(self._credentials.psk, self._access, clock=self._clock, trace=self._trace)
            dtls = replace(dtls, psk_lookup=keys.look_up)
        if ac is not None and ac.raw_public_keys:
            own = dtls.certificate
            assert own is not None
            raw_key = RawKeyCredential(own.public_key, own.private_key, own.signer, own.decrypter)
            dtls = replace(dtls, raw_key=raw_key, raw_key_lookup=self._believes)
        return dtls

    def welcome(self, connection: Connection) -> None:
        """Watch over a peer whom a ticket let in: its end is the association's, used or not."""
        if not isinstance(connection.peer, X509Identity):
            try:
                self._access.require_standing(connection.peer, now=self._clock.now())
            except AccessRefused:
                return
            self._sessions.note(connection)

    def plain_door(self) -> PlainDoor:
        """Return what answers at a port without a handshake."""
        return PlainDoor(self._admission, hints=self._hints_for_strangers, clock=self._clock)

    async def run(self) -> None:
        """Take readings, watch over rights, follow the AC, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for feed in self.feeds:
                tasks.create_task(feed.run())
            tasks.create_task(self._end_lost())
            if self._following is not None:
                tasks.create_task(self._following.run())
            if self._introspection is not None:
                renewal = self._introspection.renew(lambda: self._holdings, self._look_at_rights)
                tasks.create_task(renewal)

    def _introspects(self, ac: ACSection | None, link: ACLink | None) -> Introspection | None:
        if ac is None or link is None or not ac.introspect:
            return None
        return Introspection(
            link,
            holds_for=ac.introspection_holds_for,
            monotonic=self._clock.monotonic,
            trace=self._trace,
        )

    def _site(self) -> GuardedSite:
        """Open every source and put its resource behind the check; put the two open ones beside them."""
        site = GuardedSite(self._access, self._sessions, clock=self._clock, trace=self._trace)
        for section in self._config.resource:
            resource = ReadingResource(
                base_name=f"{self._credentials.name}{section.path}/",
                interval=section.interval,
                resource_type=section.type,
            )
            site.add(tuple(section.path.split("/")[1:]), resource)
            source = open_source(section)
            self.feeds.append(Feed(section.path, source, resource, clock=self._clock, trace=self._trace))
        if self._authority is not None:
            site.add_open(AUTHZ_INFO, AuthzInfoResource(self._admission, self._sessions))
        site.add_open(WELL_KNOWN_CORE, DiscoveryResource(site.links))
        return site

    def _hints_for_strangers(self) -> CreationHints | None:
        return self._access.hints_for_strangers(now=self._clock.now())

    def _believes(self, key: RawPublicKeyIdentity) -> bool:
        return self._access.believes(key, now=self._clock.now())

    def _look_at_rights(self) -> None:
        now = self._clock.now()
        self._holdings.drop_expired(now)
        self._sessions.end_lost(now)

    async def _end_lost(self) -> None:
        while True:
            await asyncio.sleep(EXPIRY_INTERVAL)
            self._look_at_rights()
