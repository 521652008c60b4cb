"""Whatever body comes, a requester gets an error of ACE, or a ticket for its own key within its rights."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

import cbor2
from ac_world import METER, NOW, ACWorld, request_for, scope
from hypothesis import example, given, settings
from hypothesis import strategies as st

from twoway.ac import Grant
from twoway.ac.picture import Picture
from twoway.ac.revocation import RevocationList
from twoway.tickets import (
    ErrorCode,
    IntrospectionRequest,
    MalformedACE,
    Method,
    Scope,
    SharedSecret,
    TokenError,
    TRLQuery,
    TRLQueryRejected,
)

SECRET = SharedSecret(bytes(range(32)))

LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**65), 2**65)
    | st.floats()
    | st.text(max_size=20)
    | st.binary(max_size=40)
)
ANYTHING = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.integers(-70, 70) | st.text(max_size=3), inner, max_size=5)
        | st.builds(cbor2.CBORTag, st.integers(0, 70), inner)
    ),
    max_leaves=20,
)
KEYS = st.sampled_from([1, 2, 4, 5, 8, 9, 24, 25, 30, 33, 38, 39, 41]) | st.integers(-1, 60)


@functools.cache
def world() -> tuple[ACWorld, Picture]:
    made = ACWorld.make(Path(tempfile.mkdtemp()) / "world")
    return made, made.picture(secrets={METER: SECRET})


def good() -> dict[int, object]:
    made, _ = world()
    return cbor2.loads(request_for(made.tenant, scope=scope(("/power", Method.GET))).encode())


def judged(payload: bytes) -> None:
    """Send it as the tenant, and see that what comes back is in order."""
    made, picture = world()
    answer = made.decide(payload, made.tenant.identity, picture=picture)
    if isinstance(answer, Grant):
        allowed = picture.directory.entities[METER].offer
        granted = made.records[max(made.records, key=lambda name: made.records[name].ticket_id)]
        assert granted.requester == made.tenant.uri
        assert granted.audience == METER
        scope_granted = Scope.parse_untrusted(granted.scope)
        assert scope_granted
        assert scope_granted.intersect(allowed) == scope_granted
        assert granted.holder_key in (made.tenant.identity.spki_sha256, None)
        return
    again = TokenError.parse_untrusted(answer.error.encode())
    assert again.code in ErrorCode
    assert answer.error.code.response_code in {(4, 0), (4, 1)}
    assert len(answer.error.encode()) < 1024
    assert "\n" not in str(again.description)


@given(st.binary(max_size=300))
@example(b"")
@example(b"\xbf\xff")
@example(b"\x9f" * 3000)
def test_any_bytes(payload: bytes) -> None:
    """T25."""
    judged(payload)


@settings(deadline=None)
@given(ANYTHING)
def test_any_cbor(value: object) -> None:
    judged(cbor2.dumps(value))


@settings(deadline=None)
@given(st.dictionaries(KEYS, ANYTHING, max_size=4), st.sets(st.sampled_from([4, 5, 9, 33, 38])))
def test_any_change_of_a_good_request(changes: dict[int, object], left_out: set[int]) -> None:
    """T25, T26."""
    request = {key: value for key, value in good().items() if key not in left_out}
    judged(cbor2.dumps(request | changes))


@given(ANYTHING, st.booleans())
def test_any_introspection(value: object, as_token: bool) -> None:
    payload = cbor2.dumps({11: value} if as_token else value)
    try:
        asked = IntrospectionRequest.parse_untrusted(payload)
    except MalformedACE:
        return
    assert isinstance(asked.token, bytes)


@given(
    st.lists(st.text(max_size=30) | st.from_regex(r"(diff|cursor)=-?[0-9]{0,25}", fullmatch=True), max_size=4)
)
def test_any_query_of_the_list(queries: list[str]) -> None:
    found = RevocationList()
    try:
        answer = found.answer("urn:meter", TRLQuery.parse_untrusted(queries))
    except TRLQueryRejected as rejected:
        answer = rejected.error(None)
    assert answer.encode()


def test_the_time_of_a_decision_is_the_acs(tmp_path: Path) -> None:
    """A clock that was set back makes a ticket of that time, and never one that lives longer."""
    made, picture = world()
    answer = made.decide(
        cbor2.dumps(good()), made.tenant.identity, now=NOW.replace(year=2021), picture=picture
    )
    assert isinstance(answer, Grant)
    assert answer.response.expires_in <= 600
