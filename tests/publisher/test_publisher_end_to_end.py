"""The publisher on a real socket: who reads what with which credential, and who does not."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import aiocoap
import pytest
from publisher_running import FLOW, POWER, PSK, client, running_publisher
from publisher_world import IssuingAC
from small_pki import small_pki

from twoway.coap import TransportFailed
from twoway.dtls import HandshakeKind, PSKCredential
from twoway.errors import ConfigurationError, RefusedError, TwowayError
from twoway.publisher import load_config, serve
from twoway.readings import Pack
from twoway.tickets import CreationHints, Scope

PKI = small_pki()
SINK = PKI.sink.uri


def records(answer: aiocoap.Message) -> dict[str, float | None]:
    decoded = Pack.decode_untrusted(answer.payload, int(answer.opt.content_format), now=0.0)
    return {record.name: record.value for record in decoded}


class TestDefaultSubscribers:
    @pytest.mark.parametrize("credential", [PKI.publisher_p256, PKI.publisher_rsa], ids=["p-256", "rsa-2048"])
    async def test_one_with_a_certificate_reads_without_a_ticket(self, tmp_path, credential):
        async with (
            running_publisher(tmp_path, credential=credential, defaults=[SINK]) as publisher,
            client(PKI.sink) as sink,
        ):
            answer = await sink.get(publisher.uri + "/flow")
            assert sink.connection.kind is HandshakeKind.FULL
        assert answer.code is aiocoap.CONTENT
        assert answer.opt.content_format == 112
        assert list(records(answer)) == [f"{credential.uri}/flow/flow"]

    async def test_one_with_a_pre_shared_key_reads_from_a_publisher_that_has_nothing_else(self, tmp_path):
        async with (
            running_publisher(
                tmp_path, defaults=["psk:sink"], psk="sink", with_certificate=False, with_ac=False
            ) as publisher,
            client(PSKCredential(b"sink", PSK)) as sink,
        ):
            answer = await sink.get(publisher.uri + "/flow")
            assert sink.connection.kind is HandshakeKind.FULL
        assert list(records(answer)) == ["urn:dev:org:32473-host/flow/flow"]

    async def test_certificate_and_pre_shared_key_are_served_side_by_side(self, tmp_path):
        async with (
            running_publisher(tmp_path, defaults=[SINK, "psk:sink"], psk="sink") as publisher,
            client(PKI.sink) as one,
            client(PSKCredential(b"sink", PSK)) as other,
        ):
            assert (await one.get(publisher.uri + "/flow")).code is aiocoap.CONTENT
            assert (await other.get(publisher.uri + "/flow")).code is aiocoap.CONTENT

    async def test_a_missing_resource_is_not_found_and_a_wrong_method_not_allowed(self, tmp_path):
        async with running_publisher(tmp_path, defaults=[SINK]) as publisher, client(PKI.sink) as sink:
            assert (await sink.get(publisher.uri + "/gas")).code is aiocoap.NOT_FOUND
            assert (await sink.get(publisher.uri + "/flow?x")).code is aiocoap.NOT_FOUND
            for code in (aiocoap.PUT, aiocoap.POST, aiocoap.DELETE):
                answer = await sink.ask(code, publisher.uri + "/flow")
                assert answer.code is aiocoap.METHOD_NOT_ALLOWED


class TestStrangers:
    async def test_a_peer_of_another_ca_does_not_get_through_the_handshake(self, tmp_path):
        async with (
            running_publisher(tmp_path, defaults=[SINK]) as publisher,
            client(PKI.outsider) as outsider,
        ):
            with pytest.raises(TransportFailed, match="unknown_ca") as failed:
                await outsider.get(publisher.uri + "/flow")
            assert isinstance(failed.value.error, RefusedError)

    async def test_a_wrong_pre_shared_key_does_not_get_through_the_handshake(self, tmp_path):
        async with (
            running_publisher(tmp_path, defaults=["psk:sink"], psk="sink") as publisher,
            client(PSKCredential(b"sink", PSK[::-1])) as guesser,
        ):
            with pytest.raises(TransportFailed, match="decrypt_error") as failed:
                await guesser.get(publisher.uri + "/flow")
            assert isinstance(failed.value.error, RefusedError)

    async def test_a_peer_without_a_ticket_is_told_where_to_get_one_and_nothing_else(self, tmp_path):
        async with (
            running_publisher(tmp_path, defaults=[SINK]) as publisher,
            client(PKI.subscriber) as reader,
        ):
            answer = await reader.get(publisher.uri + "/power")
            assert answer.code is aiocoap.UNAUTHORIZED
            assert answer.opt.content_format == 19
            hints = CreationHints.parse_untrusted(answer.payload)
            assert hints.as_uri == "coaps://127.0.0.1:5684/token"
            assert hints.audience == publisher.name
            assert hints.scope is not None
            assert str(Scope.parse_untrusted(hints.scope)) == "GET /power"

    async def test_a_pre_shared_key_without_rights_is_refused_without_hints(self, tmp_path):
        async with (
            running_publisher(tmp_path, defaults=[SINK], psk="other") as publisher,
            client(PSKCredential(b"other", PSK)) as other,
        ):
            answer = await other.get(publisher.uri + "/power")
        assert (answer.code, answer.payload) == (aiocoap.UNAUTHORIZED, b"")

    async def test_every_path_and_method_looks_the_same_to_a_peer_without_a_ticket(self, tmp_path):
        async with (
            running_publisher(tmp_path, defaults=[SINK]) as publisher,
            client(PKI.subscriber) as reader,
        ):
            for path in ("/power", "/gas", "/", "/power/", "/flow?x", "/.well-known/", "/.well-known/core/"):
                for code in (aiocoap.GET, aiocoap.PUT, aiocoap.POST, aiocoap.DELETE, aiocoap.FETCH):
                    answer = await reader.ask(code, publisher.uri + path)
                    assert answer.code is aiocoap.UNAUTHORIZED, (code, path)

    async def test_an_observation_is_refused_like_any_request(self, tmp_path):
        async with (
            running_publisher(tmp_path, defaults=[SINK]) as publisher,
            client(PKI.subscriber) as reader,
        ):
            request = reader.observe(publisher.uri + "/power")
            answer = await request.response
            assert answer.code is aiocoap.UNAUTHORIZED
            assert answer.opt.observe is None


class TestPathTricks:
    """T12: none of them is the upload's exemption from the check, and none finds its way to a resource."""

    @pytest.mark.parametrize(
        "segments",
        [
            ("authz-info", ""),
            ("", "authz-info"),
            ("x", "authz-info"),
            ("power", "authz-info"),
            ("authz-info", "power"),
            ("authz-info/",),
            ("authz-info/power",),
            ("power/authz-info",),
            ("Authz-Info",),
            ("authz%2Dinfo",),
            ("authz-info?",),
            ("authz-info", "..", "power"),
            (".", "authz-info"),
            ("", "power"),
            ("power", ""),
            ("power", "."),
            (".well-known/core",),
            (".well-known", "core", "..", "..", "power"),
            (".well-known", "core", ""),
        ],
        ids="|".join,
    )
    async def test_segments_that_only_look_right_are_refused(self, tmp_path, segments):
        async with (
            running_publisher(tmp_path, defaults=[SINK]) as publisher,
            client(PKI.subscriber) as reader,
        ):
            for code in (aiocoap.GET, aiocoap.POST):
                answer = await reader.ask(code, publisher.uri + "/", uri_path=segments)
                assert answer.code is aiocoap.UNAUTHORIZED

    async def test_a_query_leads_nowhere_from_the_upload(self, tmp_path):
        async with (
            running_publisher(tmp_path, defaults=[SINK]) as publisher,
            client(PKI.subscriber) as reader,
        ):
            ticket = publisher.ticket(PKI.subscriber)
            answer = await reader.ask(
                aiocoap.POST, publisher.uri + "/authz-info?/power", payload=ticket, content_format=61
            )
            assert answer.code is aiocoap.BAD_OPTION
            assert (await reader.get(publisher.uri + "/power")).code is aiocoap.UNAUTHORIZED

    async def test_another_host_name_changes_nothing(self, tmp_path):
        async with (
            running_publisher(tmp_path, defaults=[SINK]) as publisher,
            client(PKI.subscriber) as reader,
        ):
            answer = await reader.get(publisher.uri + "/power", uri_host="authz-info")
            assert answer.code is aiocoap.UNAUTHORIZED

    async def test_a_request_to_be_forwarded_is_not(self, tmp_path):
        async with running_publisher(tmp_path, defaults=[SINK]) as publisher, client(PKI.sink) as sink:
            answer = await sink.get(publisher.uri + "/power", proxy_scheme="coaps")
            assert answer.code is aiocoap.PROXYING_NOT_SUPPORTED

    async def test_an_abbreviated_path_is_not_expanded(self, tmp_path):
        async with running_publisher(tmp_path, defaults=[SINK]) as publisher, client(PKI.sink) as sink:
            answer = await sink.get(publisher.uri, uri_path_abbrev=0)
            assert answer.code is aiocoap.BAD_OPTION


class TestTickets:
    async def test_the_holder_of_a_ticket_reads_and_observes(self, tmp_path):
        async with running_publisher(tmp_path) as publisher, client(PKI.subscriber) as reader:
            answer = await reader.upload(publisher, publisher.ticket(PKI.subscriber, "/power", "/flow"))
            assert (answer.code, answer.payload) == (aiocoap.CREATED, b"")
            assert f"{publisher.name}/power/" in next(
                iter(records(await reader.get(publisher.uri + "/power")))
            )
            request = reader.observe(publisher.uri + "/flow")
            values = [records(await request.response)]
            async for notification in request.observation:
                values.append(records(notification))
                if len(values) == 4:
                    break
            assert len({tuple(value.items()) for value in values}) > 1
            assert publisher.told("request permitted")[-1]["because"].startswith("ticket ")

    async def test_the_ticket_opens_what_it_names_and_no_more(self, tmp_path):
        async with running_publisher(tmp_path) as publisher, client(PKI.subscriber) as reader:
            await reader.upload(publisher, publisher.ticket(PKI.subscriber, "/power", "/planned"))
            assert (await reader.get(publisher.uri + "/flow")).code is aiocoap.FORBIDDEN
            assert (await reader.get(publisher.uri + "/gas")).code is aiocoap.FORBIDDEN
            assert (await reader.get(publisher.uri + "/power/")).code is aiocoap.FORBIDDEN
            assert (await reader.get(publisher.uri + "/planned")).code is aiocoap.NOT_FOUND
            answer = await reader.ask(aiocoap.DELETE, publisher.uri + "/power")
            assert answer.code is aiocoap.METHOD_NOT_ALLOWED

    async def test_somebody_elses_ticket_on_ones_own_connection_is_worth_nothing(self, tmp_path):
        thief = PKI.ca.mint("thief")
        async with running_publisher(tmp_path) as publisher, client(thief) as other:
            answer = await other.upload(publisher, publisher.ticket(PKI.subscriber))
            assert answer.code is aiocoap.CREATED
            assert (await other.get(publisher.uri + "/power")).code is aiocoap.UNAUTHORIZED
            assert publisher.told("ticket stored")[0]["is_bringers"] is False

    @pytest.mark.parametrize(
        ("make", "code"),
        [
            (lambda p: b"", aiocoap.BAD_REQUEST),
            (lambda p: b"\xd8\x3d\xd2", aiocoap.BAD_REQUEST),
            (lambda p: b"\xff" * 200, aiocoap.BAD_REQUEST),
            (lambda p: p.ticket(PKI.subscriber, audience="urn:dev:org:32473-x"), aiocoap.FORBIDDEN),
            (lambda p: p.ticket(PKI.subscriber, at=p.clock.now() - timedelta(hours=1)), aiocoap.UNAUTHORIZED),
            (lambda p: IssuingAC(uri=PKI.ac.uri).ticket(PKI.subscriber.identity), aiocoap.UNAUTHORIZED),
            (lambda p: p.ticket(PKI.subscriber)[:-1] + b"\x00", aiocoap.UNAUTHORIZED),
        ],
        ids=["empty", "torn", "noise", "other-publisher", "expired", "unknown-ac", "tampered"],
    )
    async def test_a_bad_ticket_is_refused_for_its_own_reason_and_changes_nothing(self, tmp_path, make, code):
        async with running_publisher(tmp_path) as publisher, client(PKI.subscriber) as reader:
            assert (await reader.upload(publisher, make(publisher))).code is code
            assert (await reader.get(publisher.uri + "/power")).code is aiocoap.UNAUTHORIZED

    async def test_only_a_post_of_a_cwt_reaches_the_upload(self, tmp_path):
        """T12."""
        async with running_publisher(tmp_path) as publisher, client(PKI.subscriber) as reader:
            ticket = publisher.ticket(PKI.subscriber)
            for code in (aiocoap.GET, aiocoap.PUT, aiocoap.DELETE, aiocoap.FETCH):
                answer = await reader.ask(
                    code, publisher.uri + "/authz-info", payload=ticket, content_format=61
                )
                assert answer.code is aiocoap.METHOD_NOT_ALLOWED
            for content_format in (19, 42, None):
                answer = await reader.upload(publisher, ticket, content_format=content_format)
                assert answer.code is aiocoap.UNSUPPORTED_CONTENT_FORMAT
            assert (await reader.get(publisher.uri + "/power")).code is aiocoap.UNAUTHORIZED

    async def test_a_body_that_is_too_large_is_not_kept(self, tmp_path):
        async with running_publisher(tmp_path) as publisher, client(PKI.subscriber) as reader:
            answer = await reader.upload(publisher, bytes(5000))
            assert answer.code is aiocoap.REQUEST_ENTITY_TOO_LARGE

    async def test_a_body_that_is_too_large_in_one_piece_is_not_looked_at(self, tmp_path):
        async with running_publisher(tmp_path) as publisher, client(PKI.subscriber) as reader:
            request = aiocoap.Message(
                code=aiocoap.POST, uri=publisher.uri + "/authz-info", payload=bytes(5000), content_format=61
            )
            answer = await reader.context.request(request, handle_blockwise=False).response
            assert answer.code is aiocoap.REQUEST_ENTITY_TOO_LARGE

    async def test_a_body_that_grows_too_large_in_blocks_is_refused_at_the_block_that_is_too_much(
        self, tmp_path
    ):
        async with running_publisher(tmp_path) as publisher, client(PKI.subscriber) as reader:
            codes = []
            for number in range(5):
                request = aiocoap.Message(
                    code=aiocoap.POST,
                    uri=publisher.uri + "/authz-info",
                    payload=bytes(1024),
                    content_format=61,
                    block1=(number, True, 6),
                )
                codes.append((await reader.context.request(request, handle_blockwise=False).response).code)
            assert codes == [aiocoap.CONTINUE] * 4 + [aiocoap.REQUEST_ENTITY_TOO_LARGE]

    async def test_a_ticket_may_come_in_blocks(self, tmp_path):
        async with running_publisher(tmp_path) as publisher, client(PKI.subscriber) as reader:
            paths = [f"/some/rather/long/path/number/{number}" for number in range(40)]
            ticket = publisher.ticket(PKI.subscriber, "/power", *paths)
            assert len(ticket) > 1024
            assert (await reader.upload(publisher, ticket)).code is aiocoap.CREATED
            assert (await reader.get(publisher.uri + "/power")).code is aiocoap.CONTENT

    async def test_a_peer_that_uploads_without_pause_is_told_to_wait(self, tmp_path):
        async with (
            running_publisher(tmp_path, defaults=[SINK]) as publisher,
            client(PKI.subscriber) as reader,
        ):
            answers = [await reader.upload(publisher, b"\xff") for _ in range(12)]
            assert answers[0].code is aiocoap.BAD_REQUEST
            assert answers[-1].code is aiocoap.TOO_MANY_REQUESTS
            assert answers[-1].opt.max_age == 1
            async with client(PKI.sink) as sink:
                assert (await sink.upload(publisher, b"\xff")).code is aiocoap.BAD_REQUEST

    async def test_a_publisher_without_an_ac_has_no_place_to_upload_to(self, tmp_path):
        async with (
            running_publisher(tmp_path, defaults=[SINK], with_ac=False) as publisher,
            client(PKI.subscriber) as reader,
            client(PKI.sink) as sink,
        ):
            ticket = publisher.ticket(PKI.subscriber)
            assert (await reader.upload(publisher, ticket)).code is aiocoap.UNAUTHORIZED
            assert (await sink.upload(publisher, ticket)).code is aiocoap.NOT_FOUND


class TestTheEndOfRights:
    async def test_an_expired_ticket_ends_the_observation_with_4_01_and_then_the_association(self, tmp_path):
        async with running_publisher(tmp_path) as publisher, client(PKI.subscriber) as reader:
            await reader.upload(publisher, publisher.ticket(PKI.subscriber, "/flow"))
            request = reader.observe(publisher.uri + "/flow")
            assert (await request.response).opt.observe is not None
            connection = reader.connection
            publisher.clock.shift = timedelta(seconds=600)
            notifications = []
            try:
                async for notification in request.observation:
                    notifications.append(notification)
            except aiocoap.error.Error:
                pass
            assert (await connection.wait_closed()).established
            final = [n for n in notifications if n.code is not aiocoap.CONTENT]
            assert [n.code for n in final] == [aiocoap.UNAUTHORIZED]
            assert final[0] is notifications[-1]
            assert final[0].opt.observe is None
            (ended,) = publisher.told("rights ended")
            assert ended["peer"] == PKI.subscriber.uri

    async def test_an_idle_association_ends_with_its_ticket_too(self, tmp_path):
        async with running_publisher(tmp_path) as publisher, client(PKI.subscriber) as reader:
            await reader.upload(publisher, publisher.ticket(PKI.subscriber))
            connection = reader.connection
            publisher.clock.shift = timedelta(seconds=600)
            await connection.wait_closed()

    async def test_a_default_subscriber_whose_certificate_ends_is_ended_like_anybody(self, tmp_path):
        brief = PKI.ca.mint("brief-sink", not_after=datetime.now(UTC) + timedelta(seconds=600))
        async with running_publisher(tmp_path, defaults=[brief.uri]) as publisher, client(brief) as sink:
            request = sink.observe(publisher.uri + "/flow")
            assert (await request.response).code is aiocoap.CONTENT
            connection = sink.connection
            publisher.clock.shift = timedelta(seconds=600)
            await connection.wait_closed()
            (ended,) = publisher.told("rights ended")
            assert ended["because"] == "certificate_expired"

    async def test_a_renewed_ticket_keeps_observation_and_association(self, tmp_path):
        async with running_publisher(tmp_path) as publisher, client(PKI.subscriber) as reader:
            await reader.upload(publisher, publisher.ticket(PKI.subscriber, "/flow"))
            request = reader.observe(publisher.uri + "/flow")
            await request.response
            publisher.clock.shift = timedelta(seconds=300)
            await reader.upload(publisher, publisher.ticket(PKI.subscriber, "/flow"))
            publisher.clock.shift = timedelta(seconds=600)
            seen = 0
            async for notification in request.observation:
                assert notification.code is aiocoap.CONTENT
                seen += 1
                if seen == 20:
                    break
            assert publisher.told("rights ended") == []

    async def test_a_narrower_ticket_ends_the_observation_that_it_no_longer_covers(self, tmp_path):
        async with running_publisher(tmp_path) as publisher, client(PKI.subscriber) as reader:
            await reader.upload(publisher, publisher.ticket(PKI.subscriber, "/flow"))
            request = reader.observe(publisher.uri + "/flow")
            await request.response
            await reader.upload(publisher, publisher.ticket(PKI.subscriber, "/power"))
            codes = []
            try:
                async for notification in request.observation:
                    codes.append(notification.code)
            except aiocoap.error.Error:
                pass
            assert codes[-1] is aiocoap.FORBIDDEN
            assert set(codes[:-1]) <= {aiocoap.CONTENT}
            assert (await reader.get(publisher.uri + "/power")).code is aiocoap.CONTENT

    async def test_the_sink_goes_on_while_a_ticket_ends(self, tmp_path):
        async with (
            running_publisher(tmp_path, defaults=[SINK]) as publisher,
            client(PKI.subscriber) as reader,
            client(PKI.sink) as sink,
        ):
            await reader.upload(publisher, publisher.ticket(PKI.subscriber, "/flow"))
            request = sink.observe(publisher.uri + "/flow")
            await request.response
            publisher.clock.shift = timedelta(seconds=600)
            await reader.connection.wait_closed()
            async for notification in request.observation:
                assert notification.code is aiocoap.CONTENT
                break


class TestReadings:
    @pytest.mark.parametrize("content_format", [110, 112])
    async def test_a_reading_comes_in_the_format_that_is_asked_for(self, tmp_path, content_format):
        async with running_publisher(tmp_path, defaults=[SINK]) as publisher, client(PKI.sink) as sink:
            answer = await sink.get(publisher.uri + "/power", accept=content_format)
            assert answer.opt.content_format == content_format
            assert all(name.startswith(f"{publisher.name}/power/") for name in records(answer))
            assert answer.opt.max_age == 2

    async def test_a_reading_can_be_fetched_in_small_blocks_while_newer_ones_arrive(self, tmp_path):
        fast = POWER.replace("interval = 0.2", "interval = 0.05")
        async with (
            running_publisher(tmp_path, defaults=[SINK], resources=fast) as publisher,
            client(PKI.sink) as sink,
        ):
            expected = records(await sink.get(publisher.uri + "/power")).keys()
            for _ in range(5):
                answer = await sink.get(publisher.uri + "/power", block2=(0, False, 0))
                assert records(answer).keys() == expected

    async def test_blocks_of_a_reading_are_refused_once_the_ticket_has_expired(self, tmp_path):
        async with running_publisher(tmp_path) as publisher, client(PKI.subscriber) as reader:
            await reader.upload(publisher, publisher.ticket(PKI.subscriber))
            for number, code in ((0, aiocoap.CONTENT), (1, aiocoap.CONTENT), (2, aiocoap.UNAUTHORIZED)):
                publisher.clock.shift = timedelta(seconds=600 if number == 2 else 0)
                request = aiocoap.Message(
                    code=aiocoap.GET, uri=publisher.uri + "/power", block2=(number, False, 0)
                )
                answer = await reader.context.request(request, handle_blockwise=False).response
                assert answer.code is code

    async def test_another_format_is_not_acceptable(self, tmp_path):
        async with running_publisher(tmp_path, defaults=[SINK]) as publisher, client(PKI.sink) as sink:
            assert (await sink.get(publisher.uri + "/power", accept=50)).code is aiocoap.NOT_ACCEPTABLE

    async def test_a_reading_is_observed_in_the_format_that_was_asked_for(self, tmp_path):
        async with running_publisher(tmp_path, defaults=[SINK]) as publisher, client(PKI.sink) as sink:
            request = sink.observe(publisher.uri + "/power", accept=110)
            first = records(await request.response)
            async for notification in request.observation:
                assert records(notification).keys() == first.keys()
                break

    async def test_an_unchanged_reading_is_only_confirmed(self, tmp_path):
        slow = FLOW.replace("interval = 0.05", "interval = 3600.0")
        async with (
            running_publisher(tmp_path, defaults=[SINK], resources=slow) as publisher,
            client(PKI.sink) as sink,
        ):
            answer = await sink.get(publisher.uri + "/flow")
            again = await sink.get(publisher.uri + "/flow", etags=[answer.opt.etag])
            assert (again.code, again.payload) == (aiocoap.VALID, b"")
            other = await sink.get(publisher.uri + "/flow", etags=[b"\x00" * 8])
            assert other.payload == answer.payload

    async def test_one_connection_is_notified_of_so_many_observations_and_no_more(self, tmp_path):
        async with running_publisher(tmp_path, defaults=[SINK]) as publisher, client(PKI.sink) as sink:
            requests = [sink.observe(publisher.uri + "/flow") for _ in range(17)]
            answers = [await request.response for request in requests]
            assert all(answer.code is aiocoap.CONTENT for answer in answers)
            assert sum(answer.opt.observe is not None for answer in answers) == 16


class TestDiscovery:
    async def links(self, who, publisher, query: str = "") -> set[str]:
        answer = await who.get(publisher.uri + "/.well-known/core" + query)
        assert answer.code is aiocoap.CONTENT
        assert answer.opt.content_format == 40
        return set(answer.payload.decode().split(",")) - {""}

    async def test_a_default_subscriber_sees_everything(self, tmp_path):
        async with running_publisher(tmp_path, defaults=[SINK]) as publisher, client(PKI.sink) as sink:
            assert await self.links(sink, publisher) == {
                '</power>;ct="110 112";rt="reading";obs',
                '</flow>;ct="110 112";rt="reading";obs',
                '</authz-info>;rt="ace.ai"',
                '</.well-known/core>;ct="40"',
            }
            assert await self.links(sink, publisher, "?rt=ace.*") == {'</authz-info>;rt="ace.ai"'}
            assert await self.links(sink, publisher, "?ct=112&href=/p*") == {
                '</power>;ct="110 112";rt="reading";obs'
            }
            assert await self.links(sink, publisher, "?__class__=x") == set()

    async def test_a_stranger_sees_where_to_bring_a_ticket_and_its_holder_what_that_opens(self, tmp_path):
        async with running_publisher(tmp_path) as publisher, client(PKI.subscriber) as reader:
            assert await self.links(reader, publisher, "?rt=reading") == set()
            assert await self.links(reader, publisher, "?rt=ace.ai") == {'</authz-info>;rt="ace.ai"'}
            await reader.upload(publisher, publisher.ticket(PKI.subscriber, "/flow"))
            assert await self.links(reader, publisher, "?rt=reading") == {
                '</flow>;ct="110 112";rt="reading";obs'
            }

    async def test_it_can_be_read_and_nothing_else(self, tmp_path):
        async with running_publisher(tmp_path) as publisher, client(PKI.subscriber) as reader:
            answer = await reader.ask(aiocoap.POST, publisher.uri + "/.well-known/core")
            assert answer.code is aiocoap.METHOD_NOT_ALLOWED
            answer = await reader.get(publisher.uri + "/.well-known/core", accept=0)
            assert answer.code is aiocoap.NOT_ACCEPTABLE


class TestStartAndEnd:
    async def test_the_end_says_close_notify_to_everybody(self, tmp_path):
        async with client(PKI.sink) as sink:
            async with running_publisher(tmp_path, defaults=[SINK]) as publisher:
                await sink.get(publisher.uri + "/flow")
                connection = sink.connection
            assert publisher.task.cancelled()
            closed = await connection.wait_closed()
            assert closed.alert is not None
            assert closed.alert.label == "close_notify"

    async def test_a_port_in_use_is_one_sentence(self, tmp_path):
        (tmp_path / "other").mkdir()
        async with running_publisher(tmp_path, defaults=[SINK]) as publisher:
            port = publisher.uri.rpartition(":")[2]
            path = tmp_path / "publisher.toml"
            path.write_text(path.read_text().replace("127.0.0.1:0", f"127.0.0.1:{port}"))
            with pytest.raises(TwowayError, match=port):
                await serve(load_config(path), ready=lambda uri: None)

    @pytest.mark.parametrize(
        ("credential", "words"),
        [
            (PKI.other_ca.mint("ac"), "does not lead to an authority"),
            (PKI.ca.mint("ac", key=PKI.publisher_rsa.private_key), "its key cannot sign tickets"),
        ],
        ids=["other-ca", "rsa"],
    )
    async def test_an_ac_that_cannot_be_believed_stops_the_start(self, tmp_path, credential, words):
        async with running_publisher(tmp_path):
            (tmp_path / "ac.pem").write_bytes(credential.cert_pem)
            with pytest.raises(ConfigurationError, match=words) as error:
                await serve(load_config(tmp_path / "publisher.toml"), ready=lambda uri: None)
        assert str(tmp_path / "ac.pem") in str(error.value)

    async def test_a_source_that_cannot_be_opened_stops_the_start(self, tmp_path):
        async with running_publisher(tmp_path, resources=POWER):
            path = tmp_path / "publisher.toml"
            path.write_text(path.read_text().replace("recorded:p1/sagemcom-t210.txt", "missing.txt"))
            with pytest.raises(ConfigurationError, match=r"missing\.txt"):
                await serve(load_config(path), ready=lambda uri: None)

    async def test_what_the_trace_hears_holds_no_ticket(self, tmp_path):
        async with running_publisher(tmp_path) as publisher, client(PKI.subscriber) as reader:
            ticket = publisher.ticket(PKI.subscriber)
            await reader.upload(publisher, ticket)
            await reader.get(publisher.uri + "/power")
            await asyncio.sleep(0)
            told = repr([event.data for event in publisher.events])
            assert ticket.hex() not in told
            assert repr(ticket)[2:40] not in told
