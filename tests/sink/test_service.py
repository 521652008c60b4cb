"""The sink's rules: whose reading it is, and when to ask again."""

from __future__ import annotations

import pytest
from small_pki import small_pki

from twoway.errors import PeerError
from twoway.identity import PSKIdentity, RawPublicKeyIdentity, Unauthenticated
from twoway.readings import CONTENT_FORMAT_SENML_CBOR, CONTENT_FORMAT_SENML_JSON, MalformedSenML, Pack, Record
from twoway.sink import take_untrusted
from twoway.sink.service import Pauses, patience, require_publisher

METER = "urn:dev:org:32473-meter"
NOW = 1.75e9


def payload(*records: Record, base_name: str = f"{METER}/") -> bytes:
    return Pack(records, base_name).encode_cbor()


def take(data: bytes, content_format: int | None = CONTENT_FORMAT_SENML_CBOR):
    return take_untrusted(data, content_format, publisher=METER, arrived_at=NOW)


class TestWhoseReading:
    def test_records_under_the_publishers_own_name_are_taken(self):
        intake = take(payload(Record("power", "W", 1.7e9, 230.5), Record("state", None, 1.7e9, None, "on")))
        assert intake.foreign == ()
        power, state = intake.rows
        assert (power.publisher, power.name, power.time) == (METER, f"{METER}/power", 1.7e9)
        assert (power.unit, power.value, power.arrived_at) == ("W", 230.5, NOW)
        assert state.string_value == "on"

    @pytest.mark.parametrize(
        "base_name",
        [
            "urn:dev:org:32473-other/",
            "urn:dev:org:32473-meter2/",
            "urn:dev:org:32473-meter",
            "urn:dev:org:32473-mete",
            "URN:dev:org:32473-meter/",
        ],
    )
    def test_a_publisher_cannot_write_under_the_name_of_another(self, base_name: str):
        intake = take(payload(Record("x/power", "W", 1.7e9, 1.0), base_name=base_name))
        assert intake.rows == ()
        assert intake.foreign == (f"{base_name}x/power",)

    def test_one_foreign_record_does_not_cost_the_others(self):
        mixed = Pack(
            (
                Record(f"{METER}/power", "W", 1.7e9, 1.0),
                Record("urn:dev:org:32473-other/power", "W", 1.7e9, 2.0),
            )
        )
        intake = take(mixed.encode_cbor())
        assert [each.name for each in intake.rows] == [f"{METER}/power"]
        assert intake.foreign == ("urn:dev:org:32473-other/power",)

    def test_a_record_without_a_time_was_measured_when_it_arrived(self):
        (only,) = take(payload(Record("power", "W", None, 1.0))).rows
        assert only.time == NOW

    def test_json_is_taken_as_well(self):
        data = Pack((Record("power", "W", 1.7e9, 1.0),), f"{METER}/").encode_json()
        assert len(take(data, CONTENT_FORMAT_SENML_JSON).rows) == 1

    @pytest.mark.parametrize("content_format", [None, 0, 19, 60, 110])
    def test_a_payload_of_another_format_than_it_says_is_refused(self, content_format: int | None):
        with pytest.raises(MalformedSenML):
            take(payload(Record("power", "W", 1.7e9, 1.0)), content_format)

    def test_a_cut_payload_is_refused_at_every_length(self):
        whole = payload(Record("power", "W", 1.7e9, 230.5), Record("energy", "kWh", 1.7e9, 17.25))
        for length in range(len(whole)):
            with pytest.raises(MalformedSenML):
                take(whole[:length])


class TestWhoAnswers:
    def test_the_configured_certificate_is_the_publisher(self):
        peer = small_pki().publisher_p256.identity
        require_publisher(peer, expected=peer.uri, psk_identity=None)

    def test_another_certificate_of_the_same_authority_is_not(self):
        peer = small_pki().publisher_rsa.identity
        with pytest.raises(PeerError, match=f"the peer proved to be {peer.uri}, not {METER}"):
            require_publisher(peer, expected=METER, psk_identity=None)

    def test_the_configured_key_is_the_publisher(self):
        require_publisher(PSKIdentity(b"sink"), expected=METER, psk_identity="sink")

    def test_another_key_is_not(self):
        with pytest.raises(PeerError, match="proved to be psk:other"):
            require_publisher(PSKIdentity(b"other"), expected=METER, psk_identity="sink")

    def test_a_key_does_not_do_where_a_certificate_is_configured(self):
        with pytest.raises(PeerError):
            require_publisher(PSKIdentity(METER.encode()), expected=METER, psk_identity=None)

    @pytest.mark.parametrize("psk_identity", [None, "sink"])
    def test_whoever_has_neither_is_nobody_we_follow(self, psk_identity: str | None):
        spki = small_pki().publisher_p256.spki
        for peer in (Unauthenticated(), RawPublicKeyIdentity(spki)):
            with pytest.raises(PeerError, match="the peer proved to be"):
                require_publisher(peer, expected=peer.uri, psk_identity=psk_identity)

    def test_a_certificate_does_not_do_where_a_key_is_configured(self):
        peer = small_pki().publisher_p256.identity
        with pytest.raises(PeerError):
            require_publisher(peer, expected=peer.uri, psk_identity="sink")


class TestWhenToAskAgain:
    def test_three_max_ages_are_a_silence(self):
        assert patience(10.0, None) == 30.0

    def test_a_publisher_that_states_none_has_three_minutes(self):
        assert patience(None, None) == 180.0

    def test_the_operator_decides_where_the_operator_said(self):
        assert patience(10.0, 0.5) == 0.5

    def test_a_publisher_cannot_make_the_sink_hurry_or_sleep(self):
        assert patience(0.0, None) == 2.0
        assert patience(2.0**32, None) == 900.0

    def test_pauses_double_up_to_the_longest(self):
        pauses = Pauses(1.0, 10.0)
        assert [pauses.next(progressed=False) for _ in range(6)] == [1.0, 2.0, 4.0, 8.0, 10.0, 10.0]

    def test_a_reading_makes_the_pauses_short_again(self):
        pauses = Pauses(1.0, 10.0)
        assert [pauses.next(progressed=each) for each in (False, False, True, False)] == [1.0, 2.0, 1.0, 2.0]

    def test_no_pause_is_longer_than_the_longest(self):
        pauses = Pauses(5.0, 1.0)
        assert [pauses.next(progressed=each) for each in (False, False, True)] == [1.0, 1.0, 1.0]
