"""``twoway ac audit``: decisions shown, checked and exported, beside an AC's database."""

from __future__ import annotations

import hashlib
import json

import pytest
from issuing import entry_of, record_of
from sqlalchemy import text
from typer.testing import CliRunner

from twoway.ac import AuditLog, Database
from twoway.cli.app import app
from twoway.errors import StorageError


@pytest.fixture
async def config(tmp_path):
    """An AC's configuration, and three decisions in its database."""
    database = Database(tmp_path / "ac.sqlite")
    log = AuditLog(database)
    for number in range(3):
        await log.record(entry_of(record_of(number)))
    database.close()
    path = tmp_path / "ac.toml"
    path.write_text('identity = "x"\nlisten = "127.0.0.1:0"\ndatabase = "ac.sqlite"\npolicies = "x"\n')
    return path


def run(*words):
    result = CliRunner().invoke(app, ["ac", "audit", *map(str, words)])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_show_prints_the_latest_first(config):
    shown = json.loads(run("show", config, "--count", "2", "--json").stdout)
    assert [entry["ticket_id"][-2:] for entry in shown] == ["02", "01"]
    assert "same-region" in run("show", config).stdout


def test_verify_prints_the_hash_that_the_next_run_takes(config):
    said = json.loads(run("verify", config, "--json").stdout)
    assert (said["rows"], said["last"]) == (3, 3)
    assert said["hash"] in run("verify", config, "--noted", said["hash"]).stdout
    other = hashlib.sha256(b"other").hexdigest()
    with pytest.raises(StorageError, match="noted hash"):
        run("verify", config, "--noted", other)


def test_verify_names_the_row_that_was_changed(config):
    database = Database(config.parent / "ac.sqlite")
    database.transact(
        lambda connection: connection.execute(text("UPDATE audit SET entry = '{}' WHERE id = 2"))
    )
    database.close()
    with pytest.raises(StorageError, match="row 2 of the audit") as caught:
        run("verify", config)
    assert caught.value.exit_status == 1


def test_export_can_be_checked_by_a_stranger(config):
    before = bytes(32)
    lines = run("export", config).stdout.splitlines()
    for line in lines:
        row = json.loads(line)
        entry = json.dumps(row["entry"], sort_keys=True, separators=(",", ":"))
        before = hashlib.sha256(before + entry.encode()).digest()
        assert row["hash"] == before.hex()
    assert len(lines) == 3
