"""sink.toml: what an operator may write, and one sentence for everything else."""

from __future__ import annotations

from pathlib import Path

import pytest

from twoway.errors import ConfigurationError
from twoway.sink import load_config
from twoway.sink.config import Place

WHOLE = """
identity = "identities/sink"
database = "sink.sqlite"

[[publisher]]
uri = "coaps://127.0.0.1:5685/power"
identity = "urn:dev:org:32473-meter"

[[publisher]]
uri = "coaps://[::1]/host"
identity = "host"
psk = { identity = "sink", key_file = "psk-sink.hex" }
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "sink.toml"
    path.write_text(text)
    return path


def test_a_whole_file_is_read(tmp_path: Path):
    config = load_config(written(tmp_path, WHOLE))
    assert config.identity == tmp_path / "identities/sink"
    assert config.database == tmp_path / "sink.sqlite"
    meter, host = config.publisher
    assert meter.identity == "urn:dev:org:32473-meter"
    assert meter.psk is None
    assert meter.place == Place("127.0.0.1", 5685)
    assert host.identity == "urn:dev:org:32473-host", "a short name becomes an identity"
    assert host.place == Place("::1", 5684)
    assert host.psk is not None
    assert host.psk.key_file == tmp_path / "psk-sink.hex"


def test_an_identity_may_be_left_out_where_every_publisher_has_a_key(tmp_path: Path):
    text = """
    database = "sink.sqlite"
    publisher = [{ uri = "coaps://h/x", identity = "h", psk = { identity = "s", key_file = "k" } }]
    """
    assert load_config(written(tmp_path, text)).identity is None


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (('database = "sink.sqlite"', ""), "the key 'database' is missing"),
        (
            ('database = "sink.sqlite"', 'databse = "sink.sqlite"'),
            "unknown key 'databse'; did you mean 'database'",
        ),
        (('uri = "coaps://127.0.0.1:5685/power"', 'uri = "coap://h/power"'), "is not a coaps URI"),
        (('"urn:dev:org:32473-meter"', '"me ter"'), "is not a name for a device"),
        (
            ('identity = "identities/sink"', ""),
            "there is no credential for coaps://127.0.0.1:5685/power; add",
        ),
        (('"coaps://[::1]/host"', '"coaps://127.0.0.1:5685/power"'), "is listed twice"),
        (
            ('"coaps://[::1]/host"', '"coaps://127.0.0.1:5685/host"'),
            "shares host and port with an entry of another",
        ),
        (('identity = "host"', 'identity = "host"\nmax_silence = 0'), "max_silence"),
        (('identity = "sink", ', 'identity = "", '), "psk.identity"),
        (('identities/sink"', 'identities/sink"\nanswer_timeout = -1'), "answer_timeout"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(tmp_path: Path, change: tuple[str, str], complaint: str):
    path = written(tmp_path, WHOLE.replace(*change))
    with pytest.raises(ConfigurationError) as raised:
        load_config(path)
    assert complaint in str(raised.value)
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_sink_that_follows_nobody_is_refused(tmp_path: Path):
    with pytest.raises(ConfigurationError, match="publisher"):
        load_config(written(tmp_path, 'identity = "i"\ndatabase = "d"\npublisher = []'))


def test_two_resources_of_one_publisher_are_fine(tmp_path: Path):
    more = (
        WHOLE + '\n[[publisher]]\nuri = "coaps://127.0.0.1:5685/gas"\nidentity = "urn:dev:org:32473-meter"\n'
    )
    assert len(load_config(written(tmp_path, more)).publisher) == 3
