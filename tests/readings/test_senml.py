"""SenML packs: what is sent comes back resolved, what is wrong is refused, whatever the bytes."""

import contextlib
import json
import math

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twoway.errors import CallerError, PeerError
from twoway.readings import (
    CONTENT_FORMAT_SENML_CBOR,
    CONTENT_FORMAT_SENML_JSON,
    MalformedSenML,
    Pack,
    Record,
)
from twoway.readings.entry import BY_TEXT, ENTRIES_LIMIT, LABELS, NAME_LIMIT, PACK_LIMIT_BYTES, TEXT_LIMIT

NOW = 1_800_000_000.0
BASE = "urn:dev:org:32473-meter/"
FORMATS = (CONTENT_FORMAT_SENML_JSON, CONTENT_FORMAT_SENML_CBOR)

both_forms = pytest.mark.parametrize("content_format", FORMATS)


def written(entries, content_format):
    """Entries given with JSON's labels, written without any check in either representation."""
    if content_format == CONTENT_FORMAT_SENML_JSON:
        return json.dumps(entries).encode()
    return cbor2.dumps([{_cbor_label(key): value for key, value in entry.items()} for entry in entries])


def _cbor_label(key):
    return BY_TEXT[key].number if key in BY_TEXT else key


def decode(entries, content_format=CONTENT_FORMAT_SENML_JSON):
    return Pack.decode_untrusted(written(entries, content_format), content_format, now=NOW)


numbers = st.floats(allow_nan=False, allow_infinity=False)
times = st.floats(min_value=float(1 << 28), max_value=1e12)
some_text = st.text(st.characters(exclude_categories=("Cs",)), max_size=40)
contents = st.one_of(
    st.fixed_dictionaries({"value": numbers}),
    st.fixed_dictionaries({"string_value": some_text}),
    st.fixed_dictionaries({"boolean_value": st.booleans()}),
    st.fixed_dictionaries({"data_value": st.binary(max_size=40)}),
    st.fixed_dictionaries({"sum": numbers}),
    st.fixed_dictionaries({"sum": numbers, "value": numbers}),
)
records = st.builds(
    lambda name, unit, time, update_time, content: Record(
        name=name, unit=unit, time=time, update_time=update_time, **content
    ),
    st.text("abcXYZ019-:./_", max_size=20),
    st.none() | st.sampled_from(["W", "kWh", "%RH", "l/s", "m3"]),
    times,
    st.none() | numbers,
    contents,
)
packs = st.lists(records, min_size=1, max_size=8)


@given(packs, st.sampled_from(FORMATS))
def test_records_come_back_resolved_exact_and_in_chronological_order(sent, content_format):
    data = Pack(sent, BASE).encode(content_format)
    expected = [
        Record(
            BASE + record.name,
            record.unit,
            record.time,
            record.value,
            record.string_value,
            record.boolean_value,
            record.data_value,
            record.sum,
            record.update_time,
        )
        for record in sorted(sent, key=lambda record: record.time)
    ]
    assert Pack.decode_untrusted(data, content_format, now=NOW) == expected


@given(packs, st.sampled_from(FORMATS))
def test_the_same_records_always_give_the_same_bytes(sent, content_format):
    assert Pack(sent, BASE).encode(content_format) == Pack(tuple(sent), BASE).encode(content_format)


@given(st.binary(), st.sampled_from(FORMATS))
def test_any_bytes_are_records_or_malformed(data, content_format):
    with contextlib.suppress(MalformedSenML):
        Pack.decode_untrusted(data, content_format, now=NOW)


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
junk_entries = st.lists(
    st.dictionaries(st.sampled_from([label.text for label in LABELS]), junk | numbers | some_text, max_size=5)
    | junk,
    max_size=4,
)


@given(junk_entries | junk)
def test_any_json_is_records_or_malformed(pack):
    try:
        resolved = Pack.decode_json_untrusted(json.dumps(pack).encode(), now=NOW)
    except MalformedSenML:
        return
    assert all(math.isfinite(record.time) for record in resolved)
    assert all(record.value is None or math.isfinite(record.value) for record in resolved)


@given(
    st.lists(
        st.dictionaries(st.integers(-9, 9) | st.text(max_size=3), junk | st.binary() | numbers, max_size=5),
        max_size=4,
    )
)
def test_any_cbor_is_records_or_malformed(pack):
    with contextlib.suppress(MalformedSenML):
        Pack.decode_cbor_untrusted(cbor2.dumps(pack), now=NOW)


def test_a_pack_says_base_name_and_base_time_once():
    sent = [Record("power", "W", NOW + 0.25, 2027.0), Record("voltage", "V", NOW + 1.25, 230.5)]
    assert Pack(sent, BASE).encode_json() == (
        b'[{"bn":"urn:dev:org:32473-meter/","bt":1800000000.25,"n":"power","u":"W","v":2027},'
        b'{"n":"voltage","u":"V","v":230.5,"t":1}]'
    )
    assert cbor2.loads(Pack(sent, BASE).encode_cbor()) == [
        {-2: BASE, -3: NOW + 0.25, 0: "power", 1: "W", 2: 2027},
        {0: "voltage", 1: "V", 2: 230.5, 6: 1},
    ]


def test_a_record_without_a_time_is_sent_as_roughly_now():
    sent = [Record("a", value=1.0), Record("b", value=2.0, time=NOW - 60)]
    received = Pack.decode_cbor_untrusted(Pack(sent).encode_cbor(), now=NOW + 5)
    assert received == [Record("b", value=2.0, time=NOW - 60), Record("a", value=1.0, time=NOW + 5)]


class TestResolution:
    @both_forms
    def test_a_missing_time_is_now(self, content_format):
        assert decode([{"n": "a", "v": 1}], content_format)[0].time == NOW

    @both_forms
    @pytest.mark.parametrize("seconds", [-3600, 0, 30, (1 << 28) - 1])
    def test_a_time_below_2_to_the_28_counts_from_now(self, content_format, seconds):
        assert decode([{"n": "a", "v": 1, "t": seconds}], content_format)[0].time == NOW + seconds

    def test_a_time_of_2_to_the_28_is_absolute(self):
        assert decode([{"n": "a", "v": 1, "t": 1 << 28}])[0].time == float(1 << 28)

    def test_base_time_and_time_are_added_before_they_are_judged(self):
        assert decode([{"n": "a", "v": 1, "bt": 1 << 28, "t": -1}])[0].time == NOW + (1 << 28) - 1

    def test_base_values_hold_until_they_are_named_again(self):
        pack = [
            {"bn": "x:", "bt": 1e9, "bu": "W", "bv": 10, "n": "a", "v": 1},
            {"n": "b", "u": "V", "v": 2},
            {"bn": "y:", "bu": "A", "bv": 20, "bt": 2e9, "n": "c", "v": 3},
        ]
        assert decode(pack) == [
            Record("x:a", "W", 1e9, 11.0),
            Record("x:b", "V", 1e9, 12.0),
            Record("y:c", "A", 2e9, 23.0),
        ]

    def test_an_empty_base_name_ends_the_earlier_one(self):
        assert [record.name for record in decode([{"bn": "x", "v": 1}, {"bn": "", "n": "y", "v": 1}])] == [
            "x",
            "y",
        ]

    def test_a_base_value_alone_is_the_value(self):
        assert decode([{"n": "a", "bv": 7}])[0].value == 7.0

    def test_a_base_value_is_not_added_to_text(self):
        record = decode([{"n": "a", "bv": 7, "vs": "open"}])[0]
        assert (record.value, record.string_value) == (None, "open")

    def test_a_sum_may_stand_without_a_value(self):
        record = decode([{"n": "a", "s": 7}])[0]
        assert (record.value, record.sum) == (None, 7.0)

    def test_a_base_sum_is_added_to_each_sum_and_stands_for_a_missing_one(self):
        sums = [record.sum for record in decode([{"n": "a", "bs": 100, "s": 5}, {"n": "a", "v": 1}])]
        assert sums == [105.0, 100.0]

    def test_unknown_labels_are_ignored(self):
        assert decode([{"n": "a", "v": 1, "colour": "red"}]) == decode([{"n": "a", "v": 1}])

    def test_a_decimal_fraction_is_a_number(self):
        data = cbor2.dumps([{0: "a", 2: cbor2.CBORTag(4, [-1, 231])}])
        assert Pack.decode_cbor_untrusted(data, now=NOW)[0].value == 23.1


class TestRefusals:
    @both_forms
    @pytest.mark.parametrize(
        ("case", "pack"),
        [
            ("an empty pack", []),
            ("no value and no sum", [{"n": "a"}]),
            ("base fields alone", [{"bn": "a", "bt": 1e9}, {"v": 1}]),
            ("two values", [{"n": "a", "v": 1, "vs": "x"}]),
            ("two other values", [{"n": "a", "vs": "x", "vb": True}]),
            ("no name", [{"v": 1}]),
            ("a space in a name", [{"n": "a b", "v": 1}]),
            ("a name that starts with a dash", [{"n": "-a", "v": 1}]),
            ("a name that starts with an underscore", [{"bn": "_", "n": "a", "v": 1}]),
            ("a name outside ASCII", [{"n": "é", "v": 1}]),
            ("a name with a line feed at its end", [{"n": "a\n", "v": 1}]),
            ("a name that is too long", [{"n": "a" * (NAME_LIMIT + 1), "v": 1}]),
            ("a name too long with its base", [{"bn": "a" * NAME_LIMIT, "n": "a", "v": 1}]),
            ("a name that is a number", [{"n": 1, "v": 1}]),
            ("a unit with a space", [{"n": "a", "u": "k W", "v": 1}]),
            ("an empty unit", [{"n": "a", "u": "", "v": 1}]),
            ("a unit that is too long", [{"n": "a", "u": "W" * 33, "v": 1}]),
            ("a value in text", [{"n": "a", "v": "1"}]),
            ("a value that is a boolean", [{"n": "a", "v": True}]),
            ("a value that is null", [{"n": "a", "v": None}]),
            ("a null beside a value", [{"n": "a", "v": 1, "t": None}]),
            ("a boolean that is a number", [{"n": "a", "vb": 1}]),
            ("text that is too long", [{"n": "a", "vs": "x" * (TEXT_LIMIT + 1)}]),
            ("text that is a number", [{"n": "a", "vs": 1}]),
            ("data that is a number", [{"n": "a", "vd": 1}]),
            ("data that is a list", [{"n": "a", "vd": []}]),
            ("a base time in text", [{"n": "a", "v": 1, "bt": "0"}]),
            ("an infinite value", [{"n": "a", "v": math.inf}]),
            ("a value that is not a number", [{"n": "a", "v": math.nan}]),
            ("an infinite time", [{"n": "a", "v": 1, "t": -math.inf}]),
            ("an infinite sum", [{"n": "a", "v": 1, "s": math.inf}]),
            ("values that add up to infinity", [{"n": "a", "bv": 1.7e308, "v": 1.7e308}]),
            ("times that add up to infinity", [{"n": "a", "v": 1, "bt": 1.7e308, "t": 1.7e308}]),
            ("sums that add up to infinity", [{"n": "a", "bs": 1.7e308, "s": 1.7e308}]),
            ("a later version", [{"n": "a", "v": 1, "bver": 11}]),
            ("an infinite update time", [{"n": "a", "v": 1, "ut": math.inf}]),
            ("a negative version", [{"n": "a", "v": 1, "bver": -1}]),
            ("version zero", [{"n": "a", "v": 1, "bver": 0}]),
            ("a fractional version", [{"n": "a", "v": 1, "bver": 10.0}]),
            ("a version that is true", [{"n": "a", "v": 1, "bver": True}]),
            ("two versions", [{"n": "a", "v": 1, "bver": 5}, {"n": "a", "v": 1, "bver": 6}]),
            ("a version that comes late", [{"n": "a", "v": 1}, {"n": "a", "v": 1, "bver": 5}]),
            ("a field that must be understood", [{"n": "a", "v": 1, "lock_": 1}]),
            ("too many entries", [{"n": "a", "v": 1}] * (ENTRIES_LIMIT + 1)),
        ],
    )
    def test_a_pack_that_breaks_a_rule_is_refused(self, content_format, case, pack):
        with pytest.raises(MalformedSenML):
            decode(pack, content_format)

    @pytest.mark.parametrize(
        "data",
        [
            b"",
            b"\xff",
            b"{}",
            b"1",
            b"null",
            b"[1]",
            b"[[]]",
            b"[null]",
            b'[{"n":"a","v":1}] ]',
            b'[{"n":"a","v":1,}]',
            b'[{"n":"a","v":NaN}]',
            b'[{"n":"a","v":-Infinity}]',
            b'[{"n":"a","v":1e999}]',
            b'[{"n":"a","v":' + b"9" * 5000 + b"}]",
            b'[{"n":"a","v":1,"v":2}]',
            b'[{"n":"a","v":1,"x":{"y":1,"y":2}}]',
            b'[{"n":"a","vs":"\\ud800"}]',
            b'[{"n":"a","vd":"aGkgCg=="}]',
            b'[{"n":"a","vd":"a+/b"}]',
            b'[{"n":"a","vd":"a"}]',
            b'[{"n":"a","vd":"aGkg\\n"}]',
            b"\xef\xbb\xbf" + b'[{"n":"a","v":1}]',
            '[{"n":"a","v":1}]'.encode("utf-16"),
            b"[" * PACK_LIMIT_BYTES,
            b'{"a":' * 10_000,
        ],
    )
    def test_broken_json_is_refused(self, data):
        with pytest.raises(MalformedSenML):
            Pack.decode_json_untrusted(data, now=NOW)

    @pytest.mark.parametrize(
        ("case", "pack"),
        [
            ("a map", {0: "a", 2: 1}),
            ("an array of arrays", [[0, "a"]]),
            ("a label of JSON", [{"n": "a", 2: 1}]),
            ("a label in bytes", [{0: "a", 2: 1, b"x": 1}]),
            ("data in text", [{0: "a", 8: "aGk"}]),
            ("text in bytes", [{0: "a", 3: b"x"}]),
            ("too much data", [{0: "a", 8: b"x" * (TEXT_LIMIT + 1)}]),
            ("a date", [{0: "a", 2: cbor2.CBORTag(1, 0)}]),
            ("a decimal fraction as a name", [{0: cbor2.CBORTag(4, [0, 1]), 2: 1}]),
            ("a decimal fraction as a version", [{0: "a", 2: 1, -1: cbor2.CBORTag(4, [0, 10])}]),
            ("a decimal fraction of three", [{0: "a", 2: cbor2.CBORTag(4, [0, 1, 2])}]),
            ("a decimal fraction of floats", [{0: "a", 2: cbor2.CBORTag(4, [0, 1.5])}]),
            ("a decimal fraction of booleans", [{0: "a", 2: cbor2.CBORTag(4, [0, True])}]),
            ("a decimal fraction that is no array", [{0: "a", 2: cbor2.CBORTag(4, 1)}]),
            ("a decimal fraction beyond all bounds", [{0: "a", 2: cbor2.CBORTag(4, [1 << 60, 1])}]),
            ("deep nesting", [{0: "a", 2: 1, "x": [[[[[]]]]]}]),
        ],
    )
    def test_broken_cbor_packs_are_refused(self, case, pack):
        with pytest.raises(MalformedSenML):
            Pack.decode_cbor_untrusted(cbor2.dumps(pack), now=NOW)

    @pytest.mark.parametrize(
        ("case", "data"),
        [
            ("a label twice", "81 a3 00 6161 02 01 02 02"),
            ("something behind the pack", "81 a2 00 6161 02 01 00"),
            ("an indefinite pack", "9f a2 00 6161 02 01 ff"),
            ("a pack cut short", "82 a2 00 6161 02 01"),
        ],
    )
    def test_loose_cbor_is_refused(self, case, data):
        with pytest.raises(MalformedSenML):
            Pack.decode_cbor_untrusted(bytes.fromhex(data), now=NOW)

    @both_forms
    def test_a_pack_beyond_its_size_is_refused_before_it_is_parsed(self, content_format):
        entry = {"n": "a", "v": 1}
        fits = decode([entry | {"x": "y" * 60_000}], content_format)
        assert len(fits) == 1
        with pytest.raises(MalformedSenML, match="larger than"):
            decode([entry | {"x": "y" * PACK_LIMIT_BYTES}], content_format)

    def test_another_content_format_is_refused(self):
        with pytest.raises(MalformedSenML):
            Pack.decode_untrusted(b"[]", 50, now=NOW)

    def test_a_refusal_is_the_peers_fault_and_one_sentence(self):
        with pytest.raises(PeerError) as caught:
            decode([{"n": "a", "v": "1"}])
        assert str(caught.value) == "the SenML field 'v' does not hold a usable number"


class TestSending:
    @pytest.mark.parametrize(
        ("case", "records"),
        [
            ("no record", []),
            ("too many records", [Record("a", value=1.0)] * (ENTRIES_LIMIT + 1)),
            ("no value", [Record("a")]),
            ("an infinite value", [Record("a", value=math.inf)]),
            ("a whole number beyond every double", [Record("a", value=10**400)]),
            ("an infinite time", [Record("a", value=1.0, time=math.inf)]),
            ("a time that is not a number", [Record("a", value=1.0, time=math.nan)]),
            ("a time that readers would take for a relative one", [Record("a", value=1.0, time=5.0)]),
            ("a name with a space", [Record("a b", value=1.0)]),
            ("a pack that is too large", [Record("a", string_value="x" * TEXT_LIMIT)] * 17),
        ],
    )
    @both_forms
    def test_what_peers_would_refuse_is_never_sent(self, case, records, content_format):
        with pytest.raises(CallerError):
            Pack(records, BASE).encode(content_format)

    def test_a_name_must_be_whole_without_a_base_name(self):
        with pytest.raises(CallerError):
            Pack([Record("", value=1.0)]).encode_cbor()

    def test_another_content_format_is_the_callers_fault(self):
        with pytest.raises(CallerError):
            Pack([Record("a", value=1.0)]).encode(50)

    def test_huge_numbers_survive(self):
        record = Record("a", value=1.7e308, time=NOW)
        assert Pack.decode_cbor_untrusted(Pack([record]).encode_cbor(), now=0.0) == [record]
