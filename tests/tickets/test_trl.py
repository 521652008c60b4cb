"""The list of revoked tickets: queries, answers and errors of RFC 9770."""

from contextlib import suppress

import pytest
from cbor2 import CBORTag as Tagged
from hypothesis import given
from hypothesis import strategies as st

from twoway.errors import CallerError
from twoway.strict_cbor import decode_untrusted, encode
from twoway.tickets import (
    DiffEntry,
    DiffSet,
    FullSet,
    MalformedTRL,
    TRLError,
    TRLErrorID,
    TRLQuery,
    TRLQueryRejected,
    parse_trl_untrusted,
    token_hash,
)
from twoway.tickets.trl import MAX_INDEX, MAX_TRL_BYTES

A, B, C = token_hash(b"a"), token_hash(b"b"), token_hash(b"c")


# Queries


@pytest.mark.parametrize(
    ("queries", "query"),
    [
        ([], TRLQuery()),
        (["diff=0"], TRLQuery(0)),
        (["diff=3"], TRLQuery(3)),
        (["diff=" + "9" * 250], TRLQuery(10**250 - 1)),
        (["cursor=0", "diff=3"], TRLQuery(3, 0)),
        (["diff=8", f"cursor={MAX_INDEX}"], TRLQuery(8, MAX_INDEX)),
        (["c.pmax=60", "Diff=x", "diffs", ""], TRLQuery()),
    ],
)
def test_queries_are_read_and_unknown_ones_passed_over(queries, query):
    assert TRLQuery.parse_untrusted(queries) == query
    assert TRLQuery.parse_untrusted(query.options()) == query


NO_NUMBERS = ["", "-1", "+1", "1.0", "0x1", "01", " 1", "1\n", "\u0661", "one", "9" * 256]


@pytest.mark.parametrize("value", NO_NUMBERS)
@pytest.mark.parametrize("more", [[], ["cursor=1"], ["cursor=x"]])
def test_a_diff_that_is_no_number_is_an_invalid_value_without_a_cursor(value, more):
    with pytest.raises(TRLQueryRejected) as caught:
        TRLQuery.parse_untrusted([f"diff={value}", *more])
    error = caught.value.error(7)
    assert (error.error_id, error.tells_cursor) == (TRLErrorID.INVALID_PARAMETER_VALUE, False)
    assert 1 not in decode_untrusted(error.encode())[1]


@pytest.mark.parametrize("queries", [["diff"], ["diff=1", "diff=1"]])
def test_a_diff_without_or_with_two_values_is_an_invalid_value(queries):
    with pytest.raises(TRLQueryRejected) as caught:
        TRLQuery.parse_untrusted(queries)
    assert caught.value.error_id is TRLErrorID.INVALID_PARAMETER_VALUE


@pytest.mark.parametrize("value", ["1", "x", ""])
def test_a_cursor_without_diff_is_an_invalid_set_whatever_it_is(value):
    with pytest.raises(TRLQueryRejected) as caught:
        TRLQuery.parse_untrusted([f"cursor={value}"])
    error = caught.value.error(7)
    assert (error.error_id, error.tells_cursor) == (TRLErrorID.INVALID_SET_OF_PARAMETERS, False)


@pytest.mark.parametrize("value", [*NO_NUMBERS, str(MAX_INDEX + 1), "9" * 20])
@pytest.mark.parametrize("last_index", [None, 0, 42])
def test_a_cursor_that_is_no_number_is_answered_with_the_present_one(value, last_index):
    with pytest.raises(TRLQueryRejected) as caught:
        TRLQuery.parse_untrusted(["diff=1", f"cursor={value}"])
    message = decode_untrusted(caught.value.error(last_index).encode())
    assert message[1] == {0: TRLErrorID.INVALID_PARAMETER_VALUE, 1: last_index}


@given(st.lists(st.text(max_size=12), max_size=4))
def test_any_queries_are_read_or_refused_with_the_one_error(queries):
    with suppress(TRLQueryRejected):
        TRLQuery.parse_untrusted(queries)


# Answers

HASHES = st.frozensets(st.binary(max_size=4).map(token_hash), max_size=3)
CURSORS = st.none() | st.integers(0, 2**64 - 1)
ENTRIES = st.lists(st.builds(DiffEntry, HASHES, HASHES), max_size=3).map(tuple)


def test_answers_have_the_keys_of_the_registry():
    assert decode_untrusted(FullSet(frozenset({A})).encode()) == {0: [A], 2: None}
    diff = DiffSet((DiffEntry(frozenset({A}), frozenset({B})), DiffEntry(added=frozenset({A}))), 4, more=True)
    assert decode_untrusted(diff.encode()) == {1: [[[A], [B]], [[], [A]]], 2: 4, 3: True}


@given(st.builds(FullSet, HASHES, CURSORS) | st.builds(DiffSet, ENTRIES, CURSORS, st.booleans()))
def test_an_answer_is_read_as_it_was_written(answer):
    assert parse_trl_untrusted(answer.encode()) == answer
    assert type(answer).parse_untrusted(answer.encode()) == answer


def test_an_ac_without_cursors_is_understood():
    assert parse_trl_untrusted(encode({0: [A]})) == FullSet(frozenset({A}))
    assert parse_trl_untrusted(encode({1: []})) == DiffSet((), None, more=False)


@pytest.mark.parametrize(
    "message",
    [
        None,
        [],
        {},
        {2: 1},
        {0: [], 1: []},
        {0: None},
        {0: A},
        {0: [A.hex()]},
        {0: [A[:-1]]},
        {0: [b"\x02" + A[1:]]},
        {0: [[A]]},
        {0: [], 2: -1},
        {0: [], 2: True},
        {0: [], 2: "1"},
        {0: [], 2: 1.0},
        {1: [[]]},
        {1: [[[A]]]},
        {1: [[[A], [B], [C]]]},
        {1: [[A, B]]},
        {1: [{0: [A], 1: []}]},
        {1: [], 3: 1},
        {1: [], 3: None},
        {"full_set": [A]},
    ],
    ids=range(23),
)
def test_an_answer_of_another_shape_is_malformed(message):
    with pytest.raises(MalformedTRL):
        parse_trl_untrusted(encode(message))


def test_an_answer_that_is_too_large_is_not_read():
    fitting = (MAX_TRL_BYTES - 7) // 35
    many = [b"\x01" + number.to_bytes(32) for number in range(fitting + 1)]
    assert len(parse_trl_untrusted(encode({0: many[:-1]})).hashes) == fitting
    with pytest.raises(MalformedTRL, match="more than"):
        parse_trl_untrusted(encode({0: many}))


def test_changes_are_applied_from_the_oldest_to_the_newest():
    revoked = DiffEntry(added=frozenset({A, B}))
    expired = DiffEntry(removed=frozenset({A}), added=frozenset({C}))
    assert DiffSet((expired, revoked), 1, more=False).apply_to([]) == {B, C}
    assert DiffSet((revoked, expired), 1, more=False).apply_to([]) == {A, B, C}


# Errors


@pytest.mark.parametrize(
    "error",
    [
        TRLError(TRLErrorID.OUT_OF_BOUND_CURSOR),
        TRLError(TRLErrorID.INVALID_PARAMETER_VALUE, "cursor is wrong", tells_cursor=True),
        TRLError(0, "cursor is wrong", tells_cursor=True, cursor=42),
        TRLError(99),
    ],
)
def test_an_error_is_read_as_it_was_written(error):
    assert TRLError.parse_untrusted(error.encode()) == error


def test_the_error_of_the_rfcs_figure_is_read():
    figure = {-1: "Invalid parameter value", -2: "Invalid value for 'cursor': -53", 1: {0: 0, 1: 42}}
    error = TRLError.parse_untrusted(encode(figure))
    assert (error.error_id, error.tells_cursor, error.cursor) == (0, True, 42)
    assert error.detail == "Invalid value for 'cursor': -53"


def test_an_error_cannot_have_a_cursor_that_it_does_not_tell():
    with pytest.raises(CallerError):
        TRLError(0, cursor=1).encode()


@pytest.mark.parametrize(
    "message",
    [{}, [], {1: 0}, {1: {}}, {1: {0: "0"}}, {1: {0: True}}, {1: {0: 0, 1: -1}}, {-2: 1, 1: {0: 0}}],
)
def test_an_error_of_another_shape_is_malformed(message):
    with pytest.raises(MalformedTRL):
        TRLError.parse_untrusted(encode(message))


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 9) | st.sampled_from([A, b"", "x", 1.5]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.integers(-2, 3), inner, max_size=3)
        | st.builds(Tagged, st.integers(0, 99), inner)
    ),
    max_leaves=8,
)


@given(st.binary(max_size=60) | VALUES.map(encode) | st.dictionaries(st.integers(0, 3), VALUES).map(encode))
def test_any_bytes_are_read_or_refused_with_the_one_error(payload):
    for parse in (
        parse_trl_untrusted,
        FullSet.parse_untrusted,
        DiffSet.parse_untrusted,
        TRLError.parse_untrusted,
    ):
        with suppress(MalformedTRL):
            parse(payload)


@pytest.mark.parametrize(
    ("queries", "words"),
    [(["diff=x"], "diff is not one number"), (["diff=1", "cursor=x"], "cursor is not one")],
)
def test_an_error_says_in_words_what_was_wrong_with_the_query(queries, words):
    with pytest.raises(TRLQueryRejected) as caught:
        TRLQuery.parse_untrusted(queries)
    assert words in (TRLError.parse_untrusted(caught.value.error(7).encode()).detail or "")


def test_an_error_that_cannot_be_read_says_why():
    with pytest.raises(MalformedTRL, match="the CBOR cannot be read"):
        TRLError.parse_untrusted(b"\xff")
    with pytest.raises(MalformedTRL, match="integer keys"):
        TRLError.parse_untrusted(encode({"1": {0: 0}}))
