"""Payloads that do not fit a datagram are cut, and every cut piece is where it was asked for."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from aiocoap import CONTENT, GET, Message
from aiocoap.error import BadRequest

from twoway.publisher.blocks import cut_to_block, etag_of, first_block_asked

BODY = bytes(range(256)) * 10


def asked(block2: tuple[int, bool, int] | None = None, *, largest: int = 6) -> Message:
    request = Message(code=GET, block2=block2)
    request.remote = SimpleNamespace(maximum_payload_size=1 << (largest + 4), maximum_block_size_exp=largest)
    return request


def test_a_payload_that_fits_stays_whole():
    response = cut_to_block(Message(code=CONTENT, payload=BODY[:1024]), asked())
    assert response.opt.block2 is None
    assert response.payload == BODY[:1024]


@pytest.mark.parametrize("exponent", range(7))
def test_the_blocks_put_together_are_the_payload(exponent):
    body, number, more = b"", 0, True
    while more:
        response = cut_to_block(Message(code=CONTENT, payload=BODY), asked((number, False, exponent)))
        assert response.opt.block2.block_number == number
        body += response.payload
        more, number = response.opt.block2.more, number + 1
    assert body == BODY


def test_a_large_payload_is_cut_unasked():
    response = cut_to_block(Message(code=CONTENT, payload=BODY), asked())
    assert tuple(response.opt.block2) == (0, True, 6)
    assert response.opt.etag == etag_of(BODY)
    assert response.payload == BODY[:1024]


def test_a_block_larger_than_the_link_takes_is_answered_with_smaller_ones_from_the_same_place():
    response = cut_to_block(Message(code=CONTENT, payload=BODY), asked((1, False, 6), largest=4))
    assert tuple(response.opt.block2) == (4, True, 4)
    assert response.payload == BODY[1024:1280]


def test_a_small_payload_of_which_a_block_was_asked_says_that_it_is_the_only_one():
    response = cut_to_block(Message(code=CONTENT, payload=b"x"), asked((0, False, 2)))
    assert tuple(response.opt.block2) == (0, False, 2)


def test_an_empty_payload_has_an_empty_first_block():
    assert cut_to_block(Message(code=CONTENT, payload=b""), asked((0, False, 2))).payload == b""


@pytest.mark.parametrize("block2", [(3, False, 6), (1 << 19, False, 0), (0, False, 7), (1, False, 7)])
def test_a_block_that_does_not_exist_is_a_bad_request(block2):
    with pytest.raises(BadRequest):
        cut_to_block(Message(code=CONTENT, payload=BODY), asked(block2))


def test_the_first_block_is_the_one_asked_for_unless_another_is_named():
    assert first_block_asked(asked())
    assert first_block_asked(asked((0, False, 6)))
    assert not first_block_asked(asked((1, False, 6)))
