"""Which path an association speaks by: RFC 9146 section 6 and RFC 9853 section 5, without any record."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twoway.dtls.paths import AMPLIFICATION_LIMIT, CHALLENGES, Path, Paths
from twoway.dtls.protection import RecordRejected
from twoway.dtls.return_routability import PathMessage, PathMessageType

OLD, NEW, THIRD = "old", "new", "third"
CHALLENGE, RESPONSE, DROP = PathMessageType
TIMEOUT = 3.0
STEP = TIMEOUT / CHALLENGES


class Road:
    """An association as its paths see it: it keeps what they say."""

    challenge_bytes = 60
    path_timeout = TIMEOUT

    def __init__(self, *, is_checked: bool = True) -> None:
        self.sent: list[tuple[PathMessage, Path]] = []
        self.changes: list[Path] = []
        self.notes: list[str] = []
        self.noted: list[Path] = []
        self.paths = Paths(self, random.Random(1).randbytes, OLD)
        self.paths.is_checked = is_checked

    def send_path_message(self, message: PathMessage, path: Path) -> None:
        self.sent.append((message, path))

    def path_changed(self, path: Path) -> None:
        self.changes.append(path)

    def path_noted(self, what: str, path: Path) -> None:
        self.notes.append(what)
        self.noted.append(path)

    def hear(self, path: Path, size: int = 100, now: float = 0.0) -> None:
        """A record of data, newer than all before."""
        self.paths.hear(path, size, now, may_move=True)

    def answer(self, kind: PathMessageType, path: Path, cookie: bytes, now: float = 0.0) -> None:
        """A message of the check."""
        self.paths.hear(path, self.challenge_bytes, now, may_move=False)
        self.paths.answer(PathMessage(kind, cookie), path, self.challenge_bytes, now)

    def challenges(self, path: Path) -> list[bytes]:
        """The cookies of the challenges that went by a path."""
        return [message.cookie for message, by in self.sent if message.type is CHALLENGE and by == path]

    def let_expire(self, until: float) -> None:
        while (at := self.paths.deadline) is not None and at <= until:
            self.paths.expire(at)

    def asking_new(self) -> Road:
        """Go as far as the question to the new path."""
        self.hear(NEW)
        self.let_expire(TIMEOUT)
        assert len(self.challenges(NEW)) == 1
        return self


# --- the enhanced check (RFC 9853 section 5.2) ------------------------------------------------------------


def test_data_from_a_new_path_has_the_old_one_asked_and_moves_nothing():
    road = Road()
    road.hear(NEW)
    assert [(message.type, path) for message, path in road.sent] == [(CHALLENGE, OLD)]
    assert (road.paths.path, road.changes) == (OLD, [])


def test_what_is_not_newer_than_all_before_does_not_even_start_a_check():
    road = Road()
    road.paths.hear(NEW, 100, 0.0, may_move=False)
    assert (road.sent, road.paths.deadline) == ([], None)
    assert road.paths.route(1) == (OLD,)


def test_an_answer_from_the_old_path_keeps_it():
    road = Road()
    road.hear(NEW)
    road.answer(RESPONSE, OLD, *road.challenges(OLD))
    assert (road.paths.deadline, road.changes) == (None, [])
    assert road.paths.route(1) == (OLD,)
    assert road.notes[-1] == "paths kept: the peer answered on the old one"


def test_a_late_answer_from_the_old_path_keeps_it_too():
    road = Road().asking_new()
    road.answer(RESPONSE, OLD, road.challenges(OLD)[0])
    assert (road.paths.deadline, road.changes) == (None, [])
    road.answer(RESPONSE, NEW, *road.challenges(NEW))
    assert road.changes == [], "the check is over, whoever answers now"


def test_a_peer_that_left_the_old_path_has_the_new_one_asked_at_once():
    road = Road()
    road.hear(NEW)
    road.answer(DROP, OLD, *road.challenges(OLD))
    assert len(road.challenges(NEW)) == 1
    assert road.changes == []


def test_when_the_old_path_is_silent_the_new_one_is_asked():
    road = Road()
    road.hear(NEW)
    road.let_expire(TIMEOUT - 0.01)
    assert (len(road.challenges(OLD)), road.challenges(NEW)) == (CHALLENGES, [])
    road.let_expire(TIMEOUT)
    assert (len(road.challenges(OLD)), len(road.challenges(NEW))) == (CHALLENGES, 1)


def test_an_answer_from_the_new_path_moves_the_association():
    road = Road().asking_new()
    road.answer(RESPONSE, NEW, *road.challenges(NEW))
    assert (road.paths.path, road.changes, road.paths.deadline) == (NEW, [NEW], None)
    assert road.paths.route(10**6) == (NEW,)
    assert road.notes[-1] == "paths validated"


def test_silence_on_both_paths_changes_nothing_and_the_next_record_starts_anew():
    road = Road().asking_new()
    road.let_expire(2 * TIMEOUT)
    assert (road.paths.deadline, road.changes, road.paths.path) == (None, [], OLD)
    assert len(road.challenges(NEW)) == CHALLENGES
    assert road.notes[-1] == "paths not validated in time"
    road.hear(NEW, now=2 * TIMEOUT)
    assert len(road.challenges(OLD)) == CHALLENGES + 1


def test_each_challenge_has_a_cookie_of_its_own_and_any_of_them_will_do():
    road = Road().asking_new()
    road.let_expire(TIMEOUT + 2 * STEP)
    cookies = road.challenges(OLD) + road.challenges(NEW)
    assert len(set(cookies)) == 2 * CHALLENGES
    assert {len(cookie) for cookie in cookies} == {8}
    road.answer(RESPONSE, NEW, road.challenges(NEW)[0])
    assert road.changes == [NEW]


def test_challenges_are_paced():
    road = Road()
    road.hear(NEW)
    times = []
    while (at := road.paths.deadline) is not None:
        times.append(at)
        road.paths.expire(at - 0.01)
        assert len(road.sent) == len(times), "too early a call does nothing"
        road.paths.expire(at)
    assert times == pytest.approx([STEP * number for number in range(1, 2 * CHALLENGES + 1)])


def test_the_answer_to_one_question_is_not_the_answer_to_the_other():
    """Who is asked by the old path and says "yes" has said nothing about the new one."""
    road = Road()
    road.hear(NEW)
    road.answer(RESPONSE, NEW, *road.challenges(OLD))
    assert (road.paths.path, road.changes) == (OLD, [])


@pytest.mark.parametrize("kind", [RESPONSE, DROP])
@pytest.mark.parametrize("path", [OLD, NEW])
def test_a_guessed_cookie_is_ignored_and_counted(kind, path):
    road = Road().asking_new()
    for cookie in (bytes(8), road.challenges(NEW)[0][:7] + b"\x00"):
        road.answer(kind, path, cookie)
    assert road.notes.count("path answers that nobody asked for") == 2
    assert (road.changes, road.paths.deadline is not None) == ([], True)


def test_a_drop_on_the_new_path_is_ignored():
    road = Road().asking_new()
    road.answer(DROP, NEW, *road.challenges(NEW))
    assert road.changes == []
    road.answer(RESPONSE, NEW, *road.challenges(NEW))
    assert road.changes == [NEW]


def test_an_answer_that_comes_twice_is_counted():
    road = Road().asking_new()
    for _ in range(2):
        road.answer(RESPONSE, NEW, *road.challenges(NEW))
    assert road.changes == [NEW]
    assert road.notes[-1] == "path answers that nobody asked for"


def test_the_next_record_from_the_old_path_ends_the_check():
    road = Road().asking_new()
    road.hear(OLD)
    assert (road.paths.deadline, road.changes) == (None, [])
    road.answer(RESPONSE, NEW, *road.challenges(NEW))
    assert road.changes == []


def test_a_third_path_waits_until_the_check_is_over():
    road = Road().asking_new()
    road.hear(THIRD)
    assert road.challenges(THIRD) == []
    assert road.paths.route(1) == (NEW,)
    road.answer(RESPONSE, NEW, *road.challenges(NEW))
    road.hear(THIRD)
    assert len(road.challenges(NEW)) == 2, "now the validated one is the old path, and is asked first"


def test_what_is_noted_is_noted_of_the_path_that_it_is_about():
    road = Road().asking_new()
    road.answer(RESPONSE, THIRD, bytes(8))
    road.paths.answer(PathMessage(CHALLENGE, bytes(8)), THIRD, 19, 0.0)
    road.answer(RESPONSE, NEW, *road.challenges(NEW))
    road.hear(OLD)
    road.hear(NEW)
    assert list(zip(road.notes, road.noted, strict=True)) == [
        ("paths seen", NEW),
        ("path answers that nobody asked for", THIRD),
        ("path challenges too short to be answered", THIRD),
        ("paths validated", NEW),
        ("paths seen", OLD),
        ("paths kept: the peer spoke by the old one", OLD),
    ]


# --- who answers (RFC 9853 section 5.4) -------------------------------------------------------------------


@pytest.mark.parametrize("path", [OLD, NEW])
def test_a_challenge_is_answered_once_and_where_it_came_from(path):
    road = Road()
    road.answer(CHALLENGE, path, b"12345678")
    assert road.sent == [(PathMessage(RESPONSE, b"12345678"), path)]
    assert road.changes == []


def test_a_challenge_on_a_path_that_we_left_is_answered_with_path_drop():
    road = Road()
    road.paths.use(NEW)
    assert road.paths.path == NEW
    road.answer(CHALLENGE, OLD, b"12345678")
    road.answer(CHALLENGE, NEW, b"87654321")
    assert road.sent == [
        (PathMessage(DROP, b"12345678"), OLD),
        (PathMessage(RESPONSE, b"87654321"), NEW),
    ]


def test_what_comes_by_a_path_that_we_left_does_not_lead_us_back():
    road = Road()
    road.paths.use(NEW)
    road.hear(OLD)
    assert (road.paths.deadline, road.paths.path) == (None, NEW)
    road.paths.use(OLD)
    road.hear(NEW)
    assert (road.paths.deadline, road.paths.path) == (None, OLD)
    road.answer(CHALLENGE, OLD, b"12345678")
    assert road.sent[-1][0].type is RESPONSE


def test_a_short_challenge_from_a_stranger_gets_no_long_answer():
    road = Road()
    road.paths.answer(PathMessage(CHALLENGE, bytes(8)), NEW, 19, 0.0)
    assert road.sent == []
    road.paths.answer(PathMessage(CHALLENGE, bytes(8)), NEW, 20, 0.0)
    road.paths.answer(PathMessage(CHALLENGE, bytes(8)), OLD, 19, 0.0)
    assert [path for _, path in road.sent] == [NEW, OLD]


# --- the limit (RFC 9853 section 2) -----------------------------------------------------------------------


def test_while_the_old_path_is_asked_data_goes_by_both_and_then_by_the_new_one():
    road = Road()
    road.hear(NEW)
    assert road.paths.route(50) == (OLD, NEW)
    road.let_expire(TIMEOUT)
    assert road.paths.route(50) == (NEW,)


def test_beyond_the_limit_data_goes_by_the_path_that_was_validated():
    road = Road().asking_new()
    room = AMPLIFICATION_LIMIT * 100 - road.challenge_bytes
    assert road.paths.route(room + 1) == (OLD,)
    assert road.paths.route(room) == (NEW,)
    assert road.paths.route(1) == (OLD,)
    road.hear(NEW, size=1)
    assert road.paths.route(4) == (OLD,)
    assert road.paths.route(3) == (NEW,)


def test_data_leaves_room_for_the_first_challenge():
    road = Road()
    road.hear(NEW)
    while NEW in road.paths.route(30):
        pass
    road.let_expire(TIMEOUT)
    assert len(road.challenges(NEW)) == 1


def test_a_challenge_beyond_the_limit_is_not_sent_until_there_is_room():
    road = Road()
    road.hear(NEW, size=19)
    road.let_expire(TIMEOUT)
    assert road.challenges(NEW) == []
    road.paths.hear(NEW, 1, TIMEOUT, may_move=False)
    road.let_expire(TIMEOUT + STEP)
    assert len(road.challenges(NEW)) == 1


def test_answers_to_challenges_use_the_limit_up_like_data():
    road = Road(is_checked=False)
    road.hear(NEW, size=100)
    assert road.paths.route(100) == (NEW,)
    for path in (OLD, NEW, NEW):
        road.answer(CHALLENGE, path, b"12345678")
    answers = 2 * road.challenge_bytes
    room = AMPLIFICATION_LIMIT * (100 + answers) - 100 - answers
    assert road.paths.route(room + 1) == (OLD,)
    assert road.paths.route(room) == (NEW,)
    assert road.paths.route(1) == (OLD,)


@pytest.mark.parametrize("is_checked", [True, False])
@given(
    steps=st.lists(st.tuples(st.sampled_from(["hear", "send", "expire", "challenge"]), st.integers(20, 400)))
)
def test_whatever_happens_an_unvalidated_path_gets_at_most_three_times_what_came_from_it(is_checked, steps):
    road = Road(is_checked=is_checked)
    received = sent = 0
    clock = itertools.count()
    for step, size in steps:
        now, before = float(next(clock)), len(road.sent)
        if step == "hear":
            road.hear(NEW, size, now)
            received += size
        elif step == "challenge":
            road.paths.hear(NEW, size, now, may_move=False)
            road.paths.answer(PathMessage(CHALLENGE, bytes(8)), NEW, size, now)
            received += size
        elif step == "expire":
            road.paths.expire(now)
        elif NEW in road.paths.route(size):
            sent += size
        sent += road.challenge_bytes * [path for _, path in road.sent[before:]].count(NEW)
        assert sent <= AMPLIFICATION_LIMIT * received


# --- without the check ------------------------------------------------------------------------------------


def test_without_the_check_the_association_moves_at_once_within_the_limit():
    road = Road(is_checked=False)
    road.hear(NEW, size=10)
    assert (road.paths.path, road.changes, road.sent) == (NEW, [NEW], [])
    assert road.paths.route(30) == (NEW,)
    assert road.paths.route(1) == (OLD,)


def test_without_the_check_it_moves_on_and_back():
    road = Road(is_checked=False)
    road.hear(NEW)
    road.hear(THIRD)
    assert road.paths.route(1) == (THIRD,)
    assert road.paths.route(10**6) == (OLD,), "the last one that was validated"
    road.hear(OLD)
    assert road.paths.route(10**6) == (OLD,)
    assert road.changes == [NEW, THIRD, OLD]


# --- the messages (RFC 9853 section 4) --------------------------------------------------------------------


@pytest.mark.parametrize("kind", list(PathMessageType))
def test_a_message_is_its_type_and_eight_bytes(kind):
    written = PathMessage(kind, b"abcdefgh").encode()
    assert written == bytes([kind.value]) + b"abcdefgh"
    assert PathMessage.parse_untrusted(written) == PathMessage(kind, b"abcdefgh")


def test_the_numbers_are_those_of_the_registry():
    assert [(kind.name, kind.value) for kind in PathMessageType] == [
        ("PATH_CHALLENGE", 0),
        ("PATH_RESPONSE", 1),
        ("PATH_DROP", 2),
    ]


@given(st.binary(max_size=20))
def test_anything_else_is_refused(data):
    if len(data) == 9 and data[0] <= 2:
        return
    with pytest.raises(RecordRejected):
        PathMessage.parse_untrusted(data)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "unknown"),
        (b"\x03" + bytes(8), "unknown"),
        (b"\xfe", "unknown"),
        (b"\x00", "malformed"),
        (b"\x00" * 8, "malformed"),
        (b"\x00" * 10, "malformed"),
    ],
)
def test_a_message_that_is_none_or_of_another_type_is_refused(data, why):
    with pytest.raises(RecordRejected, match=f"^{why} path message$"):
        PathMessage.parse_untrusted(data)


def test_a_cookie_is_not_shown():
    assert "abcdefgh" not in repr(PathMessage(CHALLENGE, b"abcdefgh"))
