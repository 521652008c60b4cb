"""The loader of configuration files: strict, anchored at the file, and plain about what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import Field

from twoway.configuration import (
    Address,
    CoapsURI,
    IdentityURI,
    Listen,
    ResourcePath,
    Section,
    listen_uri,
    load_toml,
    parse_coaps_uri,
    parse_listen,
    parse_resource_path,
    read_key_file,
)
from twoway.errors import ConfigurationError


class Item(Section):
    path: ResourcePath
    file: Path | None = None


class Group(Section):
    identity: IdentityURI
    items: tuple[Item, ...] = ()


class Sample(Section):
    listen: Listen
    database: Path
    files: tuple[Path, ...] = ()
    uri: CoapsURI | None = None
    count: int = Field(3, ge=1, le=9)
    rate: float = 1.0
    on: bool = False
    groups: tuple[Group, ...] = Field((), alias="group")


GOOD = """
listen = "127.0.0.1:5684"
database = "data/sample.sqlite"
files = ["a", "/b"]
rate = 2
[[group]]
identity = "meter"
items = [{ path = "/power", file = "p.csv" }]
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "sample.toml"
    path.write_text(GOOD)
    return path


def failure(path: Path) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load_toml(path, Sample)
    assert caught.value.where == str(path)
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert "pydantic" not in sentence
    return sentence


def test_a_good_file_becomes_a_frozen_model_with_absolute_paths(file: Path) -> None:
    loaded = load_toml(file, Sample)
    assert loaded.listen == Address("127.0.0.1", 5684)
    assert loaded.database == file.parent / "data/sample.sqlite"
    assert loaded.files == (file.parent / "a", Path("/b"))
    assert loaded.rate == 2.0
    assert loaded.groups[0].identity == "urn:dev:org:32473-meter"
    assert loaded.groups[0].items[0].file == file.parent / "p.csv"
    with pytest.raises(ValueError, match="frozen"):
        loaded.count = 4  # type: ignore[misc]


def test_paths_count_from_the_file_even_if_it_is_named_relatively(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(file.parent)
    assert load_toml(Path("sample.toml"), Sample).database == file.parent / "data/sample.sqlite"


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("database", "databse", ["unknown key 'databse'", "did you mean 'database'?"]),
        ("rate = 2", "zzz = 2", ["unknown key 'zzz'", "known: count, database"]),
        ("path =", "pth =", ["unknown key 'group#1.items#1.pth'", "did you mean 'path'?"]),
        ("listen", "# listen", ["the key 'listen' is missing", "add it"]),
        ("rate = 2", 'rate = "2"', ["'rate' has the wrong type", "give a number"]),
        ("rate = 2", 'count = "2"', ["'count' has the wrong type", "give a whole number"]),
        ("rate = 2", "count = 2.5", ["'count' has the wrong type", "give a whole number"]),
        ("rate = 2", "count = true", ["'count' has the wrong type", "give a whole number"]),
        ("rate = 2", "on = 1", ["'on' has the wrong type", "give true or false"]),
        ("rate = 2", "count = 10", ["'count' cannot be used", "less than or equal to 9"]),
        ('"data/sample.sqlite"', "7", ["'database' has the wrong type", "give text in quotes"]),
        ('["a", "/b"]', '"a"', ["'files' has the wrong type", "give a list"]),
        ('"127.0.0.1:5684"', "5684", ["'listen' has the wrong type", "give text in quotes"]),
        ('"127.0.0.1:5684"', '"5684"', ["'listen'", "'5684' is not an address", "write host:port"]),
        ("rate = 2", 'uri = "http://x"', ["'uri'", "not a coaps URI", "coaps://host:port"]),
        ('"meter"', '"my meter"', ["'group#1.identity'", "letters, digits, dots and hyphens"]),
        ('"/power"', '"power"', ["'group#1.items#1.path'", "write it as /name"]),
    ],
)
def test_each_fault_names_file_key_and_remedy(file: Path, old: str, new: str, words: list[str]) -> None:
    assert old in GOOD
    file.write_text(GOOD.replace(old, new, 1))
    sentence = failure(file)
    for word in words:
        assert word in sentence


def test_a_missing_file_is_one_sentence(tmp_path: Path) -> None:
    assert "there is no such file" in failure(tmp_path / "none.toml")


def test_a_folder_is_not_a_file(tmp_path: Path) -> None:
    assert "folder" in failure(tmp_path)


def test_text_that_is_not_toml_is_said_with_its_line(file: Path) -> None:
    file.write_text("listen = \n")
    sentence = failure(file)
    assert "not TOML" in sentence
    assert "line 1" in sentence


def test_a_binary_file_is_refused(file: Path) -> None:
    file.write_bytes(bytes(range(256)))
    assert "not text in UTF-8" in failure(file)


def test_a_file_of_absurd_size_is_refused_unread(file: Path) -> None:
    file.write_bytes(b"#" * (2 << 20))
    assert "too large" in failure(file)


def test_a_deeply_nested_file_is_refused_without_a_crash(file: Path) -> None:
    file.write_text("a = " + "[" * 5_000 + "]" * 5_000)
    failure(file)


def test_a_wrong_value_is_not_repeated_since_it_may_be_a_secret(file: Path) -> None:
    file.write_text(GOOD.replace("rate = 2", 'rate = "c0ffee"'))
    assert "c0ffee" not in failure(file)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:5684", Address("127.0.0.1", 5684)),
        ("[::1]:5684", Address("::1", 5684)),
        (":0", Address("", 0)),
        ("meter.example:65535", Address("meter.example", 65535)),
    ],
)
def test_listen_addresses(text: str, address: Address) -> None:
    assert parse_listen(text) == address


@pytest.mark.parametrize(
    "text",
    ["", "x", "x:", "x:y", "x:65536", "::1:5684", "[::1]", "[x]:1", "x:-1", "x:+1", "x:¹", "a b:1", "[:1"],
)
def test_anything_else_is_no_listen_address(text: str) -> None:
    with pytest.raises(ConfigurationError, match="not an address to listen on"):
        parse_listen(text)


def test_the_uri_of_a_listener_names_a_host() -> None:
    assert listen_uri(Address("127.0.0.1", 1)) == "coaps://127.0.0.1:1"
    assert listen_uri(Address("::1", 1)) == "coaps://[::1]:1"
    assert listen_uri(Address("", 1)) == "coaps://localhost:1"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "coap://x",
        "coaps://",
        "coaps:///x",
        "coaps://x:0",
        "coaps://x:99999",
        "coaps://u@x",
        "coaps://x/#f",
        "coaps://[x",
    ],
)
def test_anything_else_is_no_coaps_uri(text: str) -> None:
    with pytest.raises(ConfigurationError, match="not a coaps URI"):
        parse_coaps_uri(text)


@pytest.mark.parametrize(
    "text", ["", "/", "power", "//", "/a//b", "/a/", "/a?b", "/a#b", "/a%2Fb", "/a b", "/a\n"]
)
def test_anything_else_is_no_resource_path(text: str) -> None:
    with pytest.raises(ConfigurationError, match="not the path of a resource"):
        parse_resource_path(text)


def test_a_key_file_gives_its_bytes(tmp_path: Path) -> None:
    path = tmp_path / "key.hex"
    path.write_text("00112233445566778899aabbccddeeff\n")
    path.chmod(0o600)
    assert read_key_file(path) == bytes.fromhex("00112233445566778899aabbccddeeff")


@pytest.mark.parametrize("text", ["", "0011", "zz" * 16, "c0ffee" * 5 + "c"])
def test_a_bad_key_file_is_refused_without_repeating_it(tmp_path: Path, text: str) -> None:
    path = tmp_path / "key.hex"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(ConfigurationError, match="hexadecimal") as caught:
        read_key_file(path)
    assert not text or text not in str(caught.value)


def test_a_key_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "key.hex"
    path.write_text("00112233445566778899aabbccddeeff")
    path.chmod(0o640)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        read_key_file(path)
