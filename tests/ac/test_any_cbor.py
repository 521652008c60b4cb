"""Whatever body comes, a requester gets an error of ACE, or a ticket for its own key within its rights."""

from __future__ import annotations

import asyncio
import functools
import tempfile
import threading
from collections.abc import Coroutine, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Self

import aiocoap
import cbor2
import pytest
from ac_world import METER, NOW, ACWorld, request_for, scope
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from running_ac import TIMEOUT, ask, client_of, running_ac

from twoway.ac import Grant
from twoway.ac.picture import Picture
from twoway.ac.revocation import RevocationList
from twoway.tickets import (
    CONTENT_FORMAT_ACE,
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


class Attacker:
    """An AC that runs in a thread, and those who ask it over real sockets."""

    def __init__(self, folder: Path) -> None:
        self._world = ACWorld.make(folder / "world")
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)

    def __enter__(self) -> Self:
        self._thread.start()
        self._open = AsyncExitStack()
        self._do(self._begin())
        return self

    async def _begin(self) -> None:
        more = "[limits]\nburst_per_identity = 1000000\nburst_per_network = 1000000"
        self._ac = await self._open.enter_async_context(running_ac(self._world, more=more))
        self._clients = {
            "token": await self._open.enter_async_context(client_of(self._world.tenant)),
            "introspect": await self._open.enter_async_context(client_of(self._world.meter)),
        }

    def _do(self, work: Coroutine[object, object, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(TIMEOUT)

    def post(self, path: str, payload: bytes) -> aiocoap.Message:
        """Ask and return the answer, whatever it is."""
        message = aiocoap.Message(
            code=aiocoap.POST,
            uri=f"{self._ac.uri}/{path}",
            payload=payload,
            content_format=CONTENT_FORMAT_ACE,
        )
        return self._do(ask(self._clients[path], message))

    def good(self) -> dict[int, object]:
        return cbor2.loads(request_for(self._world.tenant, scope=scope(("/power", Method.GET))).encode())

    def __exit__(self, *_: object) -> None:
        self._do(self._open.aclose())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(TIMEOUT)
        self._loop.close()


@pytest.fixture(scope="module")
def attacker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attacker]:
    with Attacker(tmp_path_factory.mktemp("ac")) as running:
        yield running


@pytest.mark.parametrize("path", ["token", "introspect"])
@settings(deadline=None, max_examples=40)
@given(
    value=ANYTHING | st.dictionaries(KEYS, ANYTHING, max_size=4),
    whole=st.booleans(),
    left_out=st.sets(st.sampled_from([4, 5, 9, 11])),
)
def test_any_cbor_over_a_socket_is_answered_in_ace(
    attacker: Attacker, path: str, value: object, whole: bool, left_out: set[int]
) -> None:
    if not whole and isinstance(value, dict):
        good = attacker.good() if path == "token" else {11: b"ticket"}
        value = {key: item for key, item in good.items() if key not in left_out} | value
    payload = cbor2.dumps(value)
    assume(len(payload) <= 4096)
    answer = attacker.post(path, payload)
    assert answer.opt.content_format == CONTENT_FORMAT_ACE
    if answer.code == aiocoap.CREATED:
        assert isinstance(cbor2.loads(answer.payload), dict)
    else:
        error = TokenError.parse_untrusted(answer.payload)
        assert divmod(answer.code, 32) == error.code.response_code


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
