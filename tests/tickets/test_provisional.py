"""The numbers of drafts as an operator writes them: ``[provisional]``."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from twoway.configuration import Section, load_toml
from twoway.errors import ConfigurationError
from twoway.tickets import DEFAULT_NUMBERS, ProvisionalNumbers


class File(Section):
    provisional: ProvisionalNumbers = DEFAULT_NUMBERS


def load(folder: Path, text: str) -> ProvisionalNumbers:
    path = folder / "file.toml"
    path.write_text(text)
    return load_toml(path, File).provisional


def test_without_a_word_of_the_operator_the_newest_draft_counts(tmp_path):
    assert load(tmp_path, "") == ProvisionalNumbers(x5t=6, x5chain=24)


def test_each_number_can_be_written_and_the_other_stays(tmp_path):
    assert load(tmp_path, "[provisional]\nx5t = 8") == ProvisionalNumbers(x5t=8, x5chain=24)
    assert load(tmp_path, "[provisional]\nx5t = 8\nx5chain = 6") == ProvisionalNumbers(x5t=8, x5chain=6)
    assert load(tmp_path, "[provisional]\nx5t = -70000").x5t == -70000


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("x5t = 1", "1 stands for COSE_KEY and not for x5t"),
        ("x5t = 2", "2 stands for ENCRYPTED_COSE_KEY and not for x5t"),
        ("x5chain = 3", "3 stands for KID and not for x5chain"),
        ("x5chain = 4", "4 stands for OSC and not for x5chain"),
        ("x5t = 5", "5 stands for CKT and not for x5t"),
        ("x5t = 24", "x5t and x5chain are both 24"),
        ("x5chain = 6", "x5t and x5chain are both 6"),
        ('x5t = "8"', "the value of 'provisional.x5t' has the wrong type; give a whole number"),
        ("x5t = 8.0", "the value of 'provisional.x5t' has the wrong type; give a whole number"),
        ("x5t = true", "the value of 'provisional.x5t' has the wrong type; give a whole number"),
        (f"x5t = {1 << 63}", "the value of 'provisional.x5t' cannot be used"),
        (f"x5t = -{(1 << 63) + 1}", "the value of 'provisional.x5t' cannot be used"),
        ("x5u = 9", "unknown key 'provisional.x5u'; did you mean"),
    ],
)
def test_what_cannot_be_such_a_number_is_refused_in_one_sentence(tmp_path, text, what):
    with pytest.raises(ConfigurationError, match=re.escape(what)) as caught:
        load(tmp_path, f"[provisional]\n{text}")
    assert "\n" not in str(caught.value)
