"""The scope: which targets and methods a ticket permits, and how a request is matched against it."""

from contextlib import suppress

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from twoway.errors import CallerError
from twoway.strict_cbor import encode
from twoway.tickets import MalformedScope, Method, Scope, target_from_options
from twoway.tickets.aif import MAX_SCOPE_ENTRIES, MAX_TARGET_CHARACTERS

UNICODE = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
SEGMENTS = st.lists(st.text(max_size=6), max_size=4)
OPTIONS = st.tuples(SEGMENTS, SEGMENTS)
METHODS = st.integers(min_value=1, max_value=127).map(Method)
GOOD_SEGMENTS = st.lists(
    UNICODE.filter(lambda part: part not in (".", "..")),
    max_size=4,
).filter(lambda segments: segments != [""])


# Targets of requests


@pytest.mark.parametrize(
    ("segments", "queries", "target"),
    [
        ([], [], "/"),
        (["power"], [], "/power"),
        (["s", "temp"], [], "/s/temp"),
        (["power", ""], [], "/power/"),
        (["", ""], [], "//"),
        (["", "power"], [], "//power"),
        (["a/b"], [], "/a%2Fb"),
        (["a%2Fb"], [], "/a%252Fb"),
        (["a?b"], [], "/a%3Fb"),
        (["a#b"], [], "/a%23b"),
        (["Zähler"], [], "/Z%C3%A4hler"),
        (["with space"], [], "/with%20space"),
        (["a+b;c=d,e@f:g"], [], "/a+b;c=d,e@f:g"),
        (["power"], [""], "/power?"),
        (["power"], ["unit=kW"], "/power?unit=kW"),
        (["power"], ["a=1", "b=2"], "/power?a=1&b=2"),
        (["power"], ["a=1&b=2"], "/power?a=1%26b=2"),
        (["power"], ["a/b?c"], "/power?a/b?c"),
        ([], ["x"], "/?x"),
    ],
)
def test_targets_are_composed_from_options_as_rfc_7252_says(segments, queries, target):
    assert target_from_options(segments, queries) == target


@given(OPTIONS, OPTIONS)
def test_different_options_never_give_the_same_target(first, second):
    assume(first != second)
    assert target_from_options(*first) != target_from_options(*second)


def test_the_single_empty_segment_is_not_the_root_and_nothing_can_permit_it():
    assert target_from_options([""], []) == ""
    assert target_from_options([], []) == "/"
    with pytest.raises(CallerError):
        Scope(((target_from_options([""], []), Method.GET),))
    assert target_from_options([""], ["x"]) != target_from_options([], ["x"])


def test_options_that_are_no_unicode_have_a_target_that_no_scope_holds():
    target = target_from_options(["\ud800"], [])
    with pytest.raises(CallerError):
        Scope(((target, Method.GET),))


# Matching


POWER = Scope((("/power", Method.GET), ("/s/valve", Method.GET | Method.PUT)))


@pytest.mark.parametrize(
    "options",
    [
        (["power", ""], []),
        (["", "power"], []),
        (["Power"], []),
        (["POWER"], []),
        (["power", "x"], []),
        (["powe"], []),
        (["power "], []),
        (["power\x00"], []),
        (["power"], [""]),
        (["power"], ["x"]),
        ([".", "power"], []),
        (["x", "..", "power"], []),
        (["/power"], []),
        (["s/valve"], []),
        (["s%2Fvalve"], []),
        (["s"], []),
        ([], []),
        ([""], []),
    ],
)
def test_a_request_for_something_similar_is_not_covered(options):
    assert not POWER.covers(target_from_options(*options))
    assert not POWER.permits(target_from_options(*options), Method.GET)


def test_a_resource_is_matched_whole_with_its_query():
    with_query = Scope((("/power?unit=kW", Method.GET),))
    assert with_query.permits(target_from_options(["power"], ["unit=kW"]), Method.GET)
    assert not with_query.covers(target_from_options(["power"], []))
    assert not with_query.covers(target_from_options(["power"], ["unit=kW", "unit=kW"]))


def test_only_the_granted_methods_are_permitted():
    assert POWER.covers("/s/valve")
    assert POWER.permits("/s/valve", Method.PUT)
    assert POWER.permits("/s/valve", Method.GET | Method.PUT)
    assert not POWER.permits("/s/valve", Method.POST)
    assert not POWER.permits("/s/valve", Method.GET | Method.POST)
    assert POWER.covers("/power")
    assert not POWER.permits("/power", Method.PUT)


def test_no_method_is_never_permitted():
    assert not POWER.permits("/power", Method(0))


@pytest.mark.parametrize(
    ("code", "method"),
    [
        (1, Method.GET),
        (2, Method.POST),
        (3, Method.PUT),
        (4, Method.DELETE),
        (5, Method.FETCH),
        (6, Method.PATCH),
        (7, Method.IPATCH),
    ],
)
def test_a_coap_method_code_needs_its_own_permission(code, method):
    assert Method.from_code(code) is method


@pytest.mark.parametrize("code", [-1, 0, 8, 31, 33, 69, 1000])
def test_codes_that_are_no_methods_need_what_nobody_has(code):
    assert Method.from_code(code) == Method(0)
    everything = Scope((("/power", Method(127)),))
    assert not everything.permits("/power", Method.from_code(code))


# Normal form


def test_entries_are_merged_sorted_and_normalised():
    scope = Scope(
        (
            ("/s/valve", Method.PUT),
            ("/power", Method.GET),
            ("/s/%76alve", Method.GET),
            ("/nothing", Method(0)),
            ("/a%2fb", Method.GET),
        )
    )
    assert scope.entries == (
        ("/a%2Fb", Method.GET),
        ("/power", Method.GET),
        ("/s/valve", Method.GET | Method.PUT),
    )
    assert scope == Scope(tuple(reversed(scope.entries)))


def test_a_scope_prints_what_it_permits():
    assert str(POWER) == "GET /power GET,PUT /s/valve"
    assert str(Scope()) == "nothing"
    assert not Scope()


def test_the_intersection_permits_what_both_permit():
    asked = Scope((("/s/valve", Method.PUT | Method.POST), ("/other", Method.GET), ("/power", Method.PUT)))
    assert POWER.intersect(asked) == Scope((("/s/valve", Method.PUT),)) == asked.intersect(POWER)


@pytest.mark.parametrize(
    "target",
    [
        "",
        "power",
        "//host/power#x",
        "coaps://host/power",
        "/po wer",
        "/power#f",
        "/a/../power",
        "/a/%2e%2E/power",
        "/./power",
        "/.",
        "/..",
        "/%",
        "/%2",
        "/%zz",
        "/%ff",
        "/Zähler",
        "/a\x00",
        "/a\n",
        "/power?a#b",
        "/power?%ff",
        '/"',
        "/[x]",
        "/a\\b",
        "/" + "a" * MAX_TARGET_CHARACTERS,
    ],
)
def test_what_is_not_a_path_cannot_stand_in_a_scope(target):
    with pytest.raises(CallerError, match="paths such as /power"):
        Scope(((target, Method.GET),))
    with pytest.raises(MalformedScope):
        Scope.parse_untrusted(encode([[target, 1]]))


@given(st.lists(st.tuples(GOOD_SEGMENTS, GOOD_SEGMENTS, METHODS), max_size=5))
def test_whatever_is_granted_is_permitted_after_a_round_trip(grants):
    entries = tuple((target_from_options(path, query), methods) for path, query, methods in grants)
    scope = Scope(entries)
    parsed = Scope.parse_untrusted(scope.encode())
    assert parsed == scope
    for target, methods in entries:
        assert parsed.permits(target, methods)


# Reading


def test_the_form_on_the_wire_is_that_of_rfc_9237():
    assert POWER.encode() == encode([["/power", 1], ["/s/valve", 5]])


def test_the_largest_scope_that_is_read_is_read():
    assert Scope.parse_untrusted(encode([["/a", 1]] * MAX_SCOPE_ENTRIES)) == Scope((("/a", Method.GET),))
    longest = "/" + "a" * (MAX_TARGET_CHARACTERS - 1)
    assert Scope.parse_untrusted(encode([[longest, 1]])).covers(longest)


def test_rows_for_the_same_target_are_merged():
    assert Scope.parse_untrusted(encode([["/a", 1], ["/a", 2]])) == Scope((("/a", Method.GET | Method.POST),))


@pytest.mark.parametrize("bits", [1 << 7, 1 << 31, 1 << 32, 1 << 38, 1 << 63])
def test_unknown_permission_bits_grant_nothing(bits):
    assert Scope.parse_untrusted(encode([["/power", bits]])) == Scope()
    assert Scope.parse_untrusted(encode([["/power", bits | 1]])) == Scope((("/power", Method.GET),))


def test_permission_bits_of_zero_grant_nothing():
    scope = Scope.parse_untrusted(encode([["/power", 0]]))
    assert not scope.covers("/power")
    assert not scope.permits("/power", Method.GET)


@pytest.mark.parametrize(
    "value",
    [
        None,
        {},
        {"/power": 1},
        "GET /power",
        b"\x80",
        1,
        ["/power", 1],
        [["/power"]],
        [["/power", 1, 1]],
        [["/power", -1]],
        [["/power", True]],
        [["/power", "GET"]],
        [["/power", None]],
        [[b"/power", 1]],
        [[1, 1]],
        [["/power", [1]]],
        [["/power", 1], None],
        [["/power", 1], []],
        [["/a", 1]] * (MAX_SCOPE_ENTRIES + 1),
    ],
)
def test_another_shape_than_pairs_of_path_and_bits_is_refused(value):
    with pytest.raises(MalformedScope):
        Scope.parse_untrusted(encode(value))


@pytest.mark.parametrize("data", [b"", b"\xff", b"\x80\x00", b"\x9f\xff", bytes.fromhex("8182612ff93c00")])
def test_bytes_that_are_no_strict_cbor_scope_are_refused(data):
    with pytest.raises(MalformedScope):
        Scope.parse_untrusted(data)


@given(st.binary(max_size=120))
def test_any_bytes_are_read_or_refused_with_the_one_error(data):
    with suppress(MalformedScope):
        Scope.parse_untrusted(data)


@given(st.lists(st.lists(UNICODE | st.integers(0, 2**64 - 1), max_size=3), max_size=4))
def test_any_list_is_read_or_refused_with_the_one_error(value):
    encoded = encode(value)
    try:
        parsed = Scope.parse_untrusted(encoded)
    except MalformedScope:
        return
    assert Scope.parse_untrusted(parsed.encode()) == parsed
