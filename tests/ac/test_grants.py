"""Grants by hand as rows."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from twoway.ac import Database, generation
from twoway.ac.grants import add_grant, read_grants, remove_grant
from twoway.errors import CallerError
from twoway.policy.grants import LinkedGrant

GRANT = LinkedGrant(
    grant_id="plumber",
    principal="urn:dev:org:32473-plumber",
    publisher="urn:dev:org:32473-meter",
    path="/water",
    methods=frozenset({"GET", "iPATCH"}),
    until=datetime(2026, 7, 1, 12, tzinfo=UTC),
)
EVERYTHING = replace(GRANT, grant_id="owner", path=None, until=None)


def add(database, grant):
    database.transact(lambda connection: add_grant(connection, grant))


def remove(database, grant_id):
    return database.transact(lambda connection: remove_grant(connection, grant_id))


def number(database):
    return database.read(generation.current)


def test_grants_come_back_as_they_went_in_by_name(database, address):
    add(database, GRANT)
    add(database, EVERYTHING)
    other = Database(address)
    try:
        assert other.read(read_grants) == [EVERYTHING, GRANT]
    finally:
        other.close()


def test_each_change_raises_the_generation(database):
    before = number(database)
    add(database, GRANT)
    assert number(database) == before + 1
    assert remove(database, "plumber") == GRANT
    assert number(database) == before + 2
    assert database.read(read_grants) == []


def test_a_second_grant_of_a_name_is_refused_and_the_first_stays(database):
    add(database, GRANT)
    before = number(database)
    with pytest.raises(CallerError, match="plumber already"):
        add(database, replace(EVERYTHING, grant_id="plumber"))
    assert database.read(read_grants) == [GRANT]
    assert number(database) == before


def test_taking_back_what_was_not_given_is_said(database):
    before = number(database)
    with pytest.raises(CallerError, match="no grant called plumber"):
        remove(database, "plumber")
    assert number(database) == before
