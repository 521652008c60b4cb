"""The public names of twoway.pki: a sorted list that each import path agrees with."""

import twoway.pki


def test_the_public_names_are_sorted_and_there():
    names = twoway.pki.__all__
    assert len(set(names)) == len(names)
    assert names == sorted(names, key=lambda name: (not name.isupper(), name[0].islower(), name))
    assert all(hasattr(twoway.pki, name) for name in names)
