"""What the mutation tests say that a mutant changes."""

from __future__ import annotations

import sys
from pathlib import Path

BENCH = Path(__file__).parents[2] / "bench"
MADE = '''
class Door:
    @_mutmut_mutated(mutants)
    def open(self, key):
        """Open it."""
        if key < 3 or not key:
            raise ValueError("no such key", b"label")
        return key

    def xǁDoorǁopen__mutmut_orig(self, key):
        """Open it."""
        if key < 3 or not key:
            raise ValueError("no such key", b"label")
        return key

    def xǁDoorǁopen__mutmut_1(self, key):
        """Open it."""
        if key <= 3 or not key:
            raise ValueError("no such key", b"label")
        return key

    def xǁDoorǁopen__mutmut_2(self, key):
        """Open it."""
        if key < 3 or not key:
            raise ValueError("XXno such keyXX", b"label")
        return key

    def xǁDoorǁopen__mutmut_3(self, key):
        """Open it."""
        if key < 3 or not key:
            raise ValueError("no such key", b"LABEL")
        return key

    def xǁDoorǁopen__mutmut_4(self, key):
        """Open it."""
        if key < 3 or not key:
            raise ValueError(None, b"label")
        return key

    def xǁDoorǁopen__mutmut_5(self, key):
        """Open it."""
        if key < 3 or not key:
            raise ValueError("no such key", None)
        return key

def x_shut__mutmut_orig(key, quick=True):
    return key

def x_shut__mutmut_1(key, quick=False):
    return key
'''


def changes_of(tmp_path):
    sys.path.insert(0, str(BENCH))
    try:
        import mutant_sources
    finally:
        sys.path.remove(str(BENCH))
    (tmp_path / "door.py").write_text(MADE)
    made = mutant_sources.changes(tmp_path / "door.py", "twoway.door")
    return made, mutant_sources.is_wording


def test_a_mutant_is_told_as_the_lines_that_differ(tmp_path):
    made, _ = changes_of(tmp_path)
    change = made["twoway.door.xǁDoorǁopen__mutmut_1"]
    assert change.function == "Door.open"
    assert (change.was, change.becomes) == ("if key < 3 or not key:", "if key <= 3 or not key:")
    shut = made["twoway.door.x_shut__mutmut_1"]
    assert (shut.was, shut.becomes) == ("key, quick=True", "key, quick=False")
    assert len(made) == 6


def test_only_a_change_of_text_is_one_of_wording(tmp_path):
    made, is_wording = changes_of(tmp_path)
    assert is_wording(made["twoway.door.xǁDoorǁopen__mutmut_2"])
    assert made["twoway.door.xǁDoorǁopen__mutmut_2"].words == "no such key"
    assert not is_wording(made["twoway.door.xǁDoorǁopen__mutmut_1"])


def test_bytes_are_no_wording(tmp_path):
    """The label of a derived key is bytes: to change it is to change the key."""
    made, is_wording = changes_of(tmp_path)
    assert not is_wording(made["twoway.door.xǁDoorǁopen__mutmut_3"])


def test_an_error_without_its_sentence_is_one_of_wording_and_without_its_reason_is_none(tmp_path):
    made, is_wording = changes_of(tmp_path)
    assert is_wording(made["twoway.door.xǁDoorǁopen__mutmut_4"])
    assert not is_wording(made["twoway.door.xǁDoorǁopen__mutmut_5"])
