"""The package's public names are a sorted list, and each of them exists."""

from twoway import tickets


def test_the_public_names_are_sorted_and_exist():
    constants = [name for name in tickets.__all__ if name.isupper()]
    classes = [name for name in tickets.__all__ if not name.isupper() and name[0].isupper()]
    functions = [name for name in tickets.__all__ if name[0].islower()]
    assert tickets.__all__ == sorted(constants) + sorted(classes) + sorted(functions)
    assert all(hasattr(tickets, name) for name in tickets.__all__)
