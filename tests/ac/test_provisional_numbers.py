"""Numbers of another draft, written into the files of an AC, a publisher and a subscriber that really run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from ac_world import METER, NOW, ACWorld, request_for
from deployment import Deployment

from twoway import ac
from twoway.ac.decisions import Grant, Refusal
from twoway.ac.directory import Directory
from twoway.ac.introspection import introspect
from twoway.errors import RefusedError
from twoway.identity import identity_uri
from twoway.subscriber import ACReference, Step, Subscriber
from twoway.subscriber.steps import TicketPresented, silent
from twoway.tickets import CertificateReference, IntrospectionRequest, ProvisionalNumbers, TokenRequest

OLDER = "[provisional]\nx5t = 8\n"
"""The number of an earlier draft for the hash of a certificate."""


class Pinning(Deployment):
    """Tickets are bound to certificates, and the publisher insists; each side has a table of its own."""

    at_the_ac = ""
    at_the_publisher = ""

    def write_ac_toml(self, publishers: tuple[str, ...] = ("meter",)) -> ac.ACConfig:
        super().write_ac_toml(("meter",))
        self.ac_toml.write_text(f"{self.ac_toml.read_text()}{self.at_the_ac}")
        return ac.load_config(self.ac_toml)

    def _known_of(self, name: str) -> str:
        return 'pin = "certificate"\n'

    def publisher_toml(self, name: str, **options: object) -> Path:
        path = super().publisher_toml(name, **options)
        text = path.read_text().replace("[ac]\n", '[ac]\npin = "certificate"\n')
        path.write_text(f"{text}{self.at_the_publisher}")
        return path

    def reference(self, provisional: str) -> ACReference:
        """What a subscriber reads of its identity folder."""
        folder = self.folder / "identities" / "reader"
        text = f'uri = "{self.token_uri}"\nidentity = "{identity_uri("ac")}"\n{provisional}'
        (folder / "ac.toml").write_text(text)
        reference = ACReference.load(folder)
        assert reference is not None
        return reference

    async def read(self, provisional: str, steps: Callable[[Step], None] = silent) -> None:
        await self.start_ac()
        uri = await self.start_publisher("meter")
        reader, reference = self.identity("reader"), self.reference(provisional)
        async with Subscriber(reader, ac=reference, steps=steps) as subscriber:
            assert (await subscriber.read(f"{uri}/count")).records


async def test_an_ac_a_publisher_and_a_subscriber_with_the_numbers_of_one_draft_understand_each_other(
    tmp_path: Path,
) -> None:
    async with Pinning(tmp_path) as deployment:
        deployment.at_the_ac = deployment.at_the_publisher = OLDER
        await deployment.read(OLDER)
        assert deployment.told("ticket stored")[0]["is_bringers"] is True


@pytest.mark.parametrize(("at_the_ac", "at_the_publisher"), [(OLDER, ""), ("", OLDER)])
async def test_a_publisher_of_another_draft_refuses_with_4_00(
    tmp_path: Path, at_the_ac: str, at_the_publisher: str
) -> None:
    """The member that it does not understand is passed over (RFC 8747 section 3.1), and no certificate is
    left in the ticket: RFC 9200 section 5.10.1.1 says 4.00 for claims that cannot be used."""
    async with Pinning(tmp_path) as deployment:
        deployment.at_the_ac, deployment.at_the_publisher = at_the_ac, at_the_publisher
        steps: list[Step] = []
        with pytest.raises(RefusedError, match="does not accept the ticket"):
            await deployment.read(at_the_ac, steps.append)
        assert [step.code for step in steps if isinstance(step, TicketPresented)] == ["4.00 Bad Request"]
        assert deployment.told("ticket refused")[0]["because"] == "no_confirmation"


class TestTheACItself:
    OLDER = ProvisionalNumbers(x5t=8)

    def test_it_reads_requests_in_the_numbers_of_its_file_alone(self, tmp_path: Path) -> None:
        world = ACWorld.make(tmp_path)
        key = CertificateReference.of(world.tenant.chain[0])
        request = TokenRequest(audience=METER, scope=None, req_cnf=key)
        picture = replace(world.picture(), numbers=self.OLDER)
        older, newer = request.encode(self.OLDER), request.encode()
        assert isinstance(world.decide(older, world.tenant.identity, picture=picture), Grant)
        assert isinstance(world.decide(newer, world.tenant.identity, picture=picture), Refusal)
        assert isinstance(world.decide(older, world.tenant.identity), Refusal)

    def test_it_tells_of_a_ticket_in_the_numbers_in_which_it_wrote_it(self, tmp_path: Path) -> None:
        world = ACWorld.make(tmp_path)
        directory = world.directory()
        meter = replace(directory.entities[METER], pins_certificates=True)
        picture = replace(
            world.picture(directory=Directory({**directory.entities, METER: meter})), numbers=self.OLDER
        )
        granted = world.decide(request_for(world.tenant), world.tenant.identity, picture=picture)
        assert isinstance(granted, Grant)
        (record,) = world.records.values()
        token = granted.response.access_token
        told = introspect(IntrospectionRequest(token), record, publisher=meter, picture=picture, now=NOW)
        assert told.claims is not None
        assert 8 in told.claims.confirmation
        assert 6 not in told.claims.confirmation
