"""`twoway ac tickets` on the database of an AC: what it lists, what it ends, what it leaves alone."""

from __future__ import annotations

import asyncio
import hashlib
import json
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from issuing import issue_one
from typer.testing import CliRunner

from twoway.ac import AuditLog, Database, HolderRevoked, TicketRecords, load_config, read_audit
from twoway.cli.app import app
from twoway.clock import SystemClock
from twoway.errors import ConfigurationError
from twoway.pki import CertificateAuthority, Role

ALICE, BOB = "urn:dev:org:32473-alice", "urn:dev:org:32473-bob"
METER, WATER = "urn:dev:org:32473-meter", "urn:dev:org:32473-water"
CONFIG = """\
identity = "ac"
listen = "localhost:5684"
database = "ac.sqlite"
policies = "policies"
"""


class AC:
    """The database of an AC with three tickets: Alice's for both publishers, Bob's for one."""

    def __init__(self, folder):
        now = SystemClock().now()
        self.alice = CertificateAuthority.init(folder / "ca", name="test", now=now).issue(
            "alice", Role.SUBSCRIBER, now=now
        )
        self.config = folder / "ac.toml"
        self.config.write_text(CONFIG)
        self.settings = load_config(self.config)
        certificate = hashlib.sha256(self.leaf()).digest()
        self.tickets = [
            self.issue(requester=ALICE, audience=METER, certificate_sha256=certificate),
            self.issue(requester=ALICE, audience=WATER, certificate_sha256=certificate),
            self.issue(requester=BOB, audience=METER, holder_key=b"b" * 32, certificate_sha256=b"c" * 32),
        ]

    def leaf(self):
        """Alice's certificate in DER."""
        pem = (self.alice / "cert.pem").read_bytes()
        return x509.load_pem_x509_certificates(pem)[0].public_bytes(Encoding.DER)

    def issue(self, **changes):
        database = Database(self.settings.database)
        try:
            records = TicketRecords(database, AuditLog(database))
            return asyncio.run(issue_one(records, now=SystemClock().now(), **changes))
        finally:
            database.close()

    def type(self, *words):
        command = ["ac", "tickets", *map(str, words)]
        return CliRunner().invoke(app, command, env={"COLUMNS": "200"}, catch_exceptions=False).stdout

    def listed(self):
        return [row["ticket"] for row in json.loads(self.type("list", self.config, "--json"))]

    def revoked(self, *words):
        return {row["ticket"] for row in json.loads(self.type("revoke", self.config, *words, "--json"))}

    def numbers(self, *indices):
        return {self.tickets[index].ticket_id.hex() for index in indices}


@pytest.fixture
def ac(tmp_path):
    return AC(tmp_path)


def test_the_tickets_in_force_are_listed_with_their_rights(ac):
    rows = json.loads(ac.type("list", ac.config, "--json"))
    assert [(row["subscriber"], row["publisher"], row["rights"]) for row in rows] == [
        (ALICE, METER, "GET /power"),
        (ALICE, WATER, "GET /power"),
        (BOB, METER, "GET /power"),
    ]
    assert ALICE in ac.type("list", ac.config)


def test_an_expired_ticket_is_not_listed(ac):
    ac.issue(requester=BOB, expires_at=SystemClock().now() - timedelta(seconds=1))
    assert set(ac.listed()) == ac.numbers(0, 1, 2)


@pytest.mark.parametrize(
    ("words", "ended"),
    [
        (("--subscriber", "alice"), (0, 1)),
        (("--subscriber", "alice", "--publisher", "water"), (1,)),
        (("--subscriber", "bob", "--publisher", "water"), ()),
    ],
    ids=["all of a subscriber", "for one publisher", "none"],
)
def test_a_subscribers_tickets_end_and_nobody_elses(ac, words, ended):
    assert ac.revoked(*words) == ac.numbers(*ended)
    assert set(ac.listed()) == ac.numbers(0, 1, 2) - ac.numbers(*ended)


def test_one_ticket_ends_by_its_number_and_the_audit_says_why(ac):
    (number,) = ac.numbers(2)
    assert ac.revoked("--ticket", number, "--reason", "sent to the wrong one") == {number}
    assert set(ac.listed()) == ac.numbers(0, 1)
    entry = read_audit(ac.settings.database)[0]
    assert (entry.ticket_id.hex(), entry.reason) == (number, "sent to the wrong one")
    assert ac.revoked("--ticket", number) == set()  # once and for ever


def test_a_revoked_certificate_ends_its_tickets_and_gets_none_again(ac):
    assert ac.revoked("--certificate", ac.alice / "cert.pem") == ac.numbers(0, 1)
    assert set(ac.listed()) == ac.numbers(2)
    with pytest.raises(HolderRevoked):
        ac.issue(requester=ALICE, certificate_sha256=ac.tickets[0].certificate_sha256)


def test_it_says_in_a_sentence_how_many_were_revoked(ac):
    assert ac.type("revoke", ac.config, "--subscriber", "alice") == "2 tickets were revoked\n"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ((), "it is not said which tickets"),
        (("--subscriber", "alice", "--ticket", "00"), "it is not said which tickets"),
        (("--ticket", "00", "--publisher", "meter"), "--publisher narrows --subscriber"),
        (("--ticket", "no number"), "'no number' is no ticket"),
        (("--certificate", "nothing.pem"), "nothing.pem"),
    ],
    ids=["nothing", "two", "a publisher alone", "no number", "no certificate"],
)
def test_what_does_not_say_which_tickets_revokes_none(ac, words, sentence):
    with pytest.raises(ConfigurationError, match=sentence):
        ac.type("revoke", ac.config, *words)
    assert set(ac.listed()) == ac.numbers(0, 1, 2)


def test_an_ac_that_never_ran_has_no_tickets_to_end(tmp_path):
    (tmp_path / "ac.toml").write_text(CONFIG)
    command = ["ac", "tickets", "list", str(tmp_path / "ac.toml")]
    with pytest.raises(ConfigurationError, match=r"ac\.sqlite"):
        CliRunner().invoke(app, command, catch_exceptions=False)
