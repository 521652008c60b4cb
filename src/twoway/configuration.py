"""Configuration files: TOML in, one frozen model out, or one sentence that says what to correct.

It owns the way from a file to a validated pydantic model: reading, the types of TOML taken strictly
(``"600"`` is no number, ``true`` is no 1), paths relative to the file, and the translation of every
complaint into a :class:`~twoway.errors.ConfigurationError`. What the keys mean is the actors'. No
value of unknown meaning is ever repeated in an error: what stands in the wrong place may be a secret.
"""

from __future__ import annotations

import difflib
import json
import stat
import tomllib
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, NamedTuple, TypeVar, Union, get_args, get_origin
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, PlainValidator, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails, PydanticCustomError

from twoway.errors import ConfigurationError
from twoway.identity import identity_uri

COAPS_PORT = 5684
"""The port of ``coaps`` where a URI names none (RFC 7252 section 6.2)."""

_FILE_LIMIT_BYTES = 1 << 20
"""A configuration is written by a person; what is larger is some other file."""

_KEY_MINIMUM_BYTES = 16
"""RFC 7925 section 4.2 and common sense: a pre-shared key has at least 128 bits."""

_NOUNS = {
    "bool": "true or false",
    "dict": "a table",
    "float": "a number",
    "int": "a whole number",
    "list": "a list",
    "model": "a table",
    "path": "a path in quotes",
    "string": "text in quotes",
    "tuple": "a list",
}
"""What pydantic's error types ``<this>_type``, ``<this>_parsing`` and the like expected, in words."""


class Section(BaseModel):
    """A table of a configuration file: frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


M = TypeVar("M", bound=BaseModel)
V = TypeVar("V")


class Address(NamedTuple):
    """Where to listen: a host and a UDP port."""

    host: str
    """A host name or address; empty for every address of the machine."""
    port: int
    """0 lets the system choose."""


def load_toml(path: Path, model: type[M]) -> M:
    """Read the TOML file at ``path`` into ``model``.

    Every ``Path`` in the result, however deep, is absolute: a relative one counts from the folder of the
    file. A validator that needs the folder itself finds it as ``info.context["folder"]``.

    Raises:
        ConfigurationError: the file cannot be read, is not TOML or does not fit the model. It names the
            file and the key; list entries count from 1 (``publisher#1.identity``).
    """
    folder = path.absolute().parent
    table = _read_table(path)
    try:
        # TOML's types are JSON's, and pydantic's strict JSON mode is the one that takes text for a path
        # and a list for a tuple, but neither text for a number nor a number for a truth value.
        loaded = model.model_validate_json(
            json.dumps(table, default=str), strict=True, context={"folder": folder}
        )
    except ValidationError as error:
        raise _in_words(error, path, model) from None
    return _anchored(loaded, folder)


def validated_by(function: Callable[[str], V]) -> PlainValidator:
    """Make a field's validator out of a function that takes text and raises ``ConfigurationError``.

    Use it as ``Annotated[Address, validated_by(parse_listen)]``.
    """

    def validate(value: object) -> V:
        if not isinstance(value, str):
            raise PydanticCustomError("string_type", "must be text in quotes")
        try:
            return function(value)
        except ConfigurationError as error:
            raise PydanticCustomError(
                "configuration", "{what}", {"what": error.what, "remedy": error.remedy or ""}
            ) from None

    return PlainValidator(validate)


def parse_listen(text: str) -> Address:
    """Parse ``host:port``, ``[v6]:port`` or ``:port``.

    Raises:
        ConfigurationError: for anything else.
    """
    host, colon, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    bare = host[1:-1] if bracketed else host
    if not colon or not _is_port(port) or (":" in bare) != bracketed or set(bare) & set("[]/ "):
        raise ConfigurationError(
            f"{text!r} is not an address to listen on",
            remedy="write host:port, [address]:port for IPv6, or :port for every address",
        )
    return Address(bare, int(port))


def listen_uri(address: Address) -> str:
    """Return the ``coaps`` URI under which a listener at ``address`` is reached from the same machine."""
    host = address.host if address.host not in ("", "0.0.0.0", "::") else "localhost"  # noqa: S104  # compared, not bound
    return f"coaps://{f'[{host}]' if ':' in host else host}:{address.port}"


def parse_coaps_uri(text: str) -> str:
    """Check that ``text`` is a ``coaps`` URI with a host (RFC 7252 section 6.2) and return it.

    Raises:
        ConfigurationError: for another scheme, no host, a bad port, a fragment or a user name.
    """
    try:
        parts = urlsplit(text)
        usable = bool(parts.hostname) and parts.port != 0 and "@" not in parts.netloc
    except ValueError:
        usable = False
    if not usable or parts.scheme != "coaps" or parts.fragment or not text.isascii() or " " in text:
        raise ConfigurationError(
            f"{text!r} is not a coaps URI", remedy="write it as coaps://host:port or coaps://host:port/path"
        )
    return text


def parse_resource_path(text: str) -> str:
    """Check that ``text`` is the path of a resource (``/power``) and return it.

    Raises:
        ConfigurationError: for a path without a leading slash, with empty segments or a query.
    """
    segments = text.split("/")
    if (
        len(segments) < 2
        or segments[0]
        or not all(segments[1:])
        or set(text) & set("?#% ")
        or not text.isprintable()
    ):
        raise ConfigurationError(
            f"{text!r} is not the path of a resource", remedy="write it as /name or /name/name"
        )
    return text


def read_key_file(path: Path) -> bytes:
    """Read a pre-shared key: one line of hexadecimal digits in a file that only its owner can read.

    Raises:
        ConfigurationError: the file is missing, open to others, not hexadecimal, or the key is shorter
            than 16 bytes. The key itself is never part of the message.
    """
    data = _read_bytes(path)
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise ConfigurationError(
            "other users of this machine can read the key", where=str(path), remedy=f"run: chmod 600 {path}"
        )
    try:
        key = bytes.fromhex(data.decode("ascii").strip())
    except ValueError:
        key = b""
    if len(key) < _KEY_MINIMUM_BYTES:
        raise ConfigurationError(
            f"not a key of at least {_KEY_MINIMUM_BYTES} bytes in hexadecimal digits",
            where=str(path),
            remedy="write a random one, for instance with: openssl rand -hex 32",
        )
    return key


Listen = Annotated[Address, validated_by(parse_listen)]
"""A field that holds ``"host:port"``."""
CoapsURI = Annotated[str, validated_by(parse_coaps_uri)]
"""A field that holds a ``coaps`` URI."""
IdentityURI = Annotated[str, validated_by(identity_uri)]
"""A field that holds an identity: a URN, or a short name that becomes one."""
ResourcePath = Annotated[str, validated_by(parse_resource_path)]
"""A field that holds a resource's path, ``"/power"``."""


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdigit() and int(text) <= 0xFFFF


def _read_bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(_FILE_LIMIT_BYTES + 1)
    except FileNotFoundError:
        raise ConfigurationError("there is no such file", where=str(path), remedy="check the path") from None
    except IsADirectoryError:
        raise ConfigurationError(
            "this is a folder, not a file", where=str(path), remedy="name the file in it"
        ) from None
    except OSError as error:
        raise ConfigurationError(
            f"the file cannot be read ({error.strerror})", where=str(path), remedy="check its permissions"
        ) from None
    if len(data) > _FILE_LIMIT_BYTES:
        raise ConfigurationError(
            "the file is too large for a configuration", where=str(path), remedy="check the path"
        )
    return data


def _read_table(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(_read_bytes(path).decode("utf-8"))
    except UnicodeDecodeError:
        raise ConfigurationError(
            "the file is not text in UTF-8", where=str(path), remedy="name a TOML file"
        ) from None
    except tomllib.TOMLDecodeError as error:
        fault = str(error)
        raise ConfigurationError(
            f"the file is not TOML: {fault[:1].lower()}{fault[1:]}",
            where=str(path),
            remedy="correct that place; text stands in quotes",
        ) from None
    except RecursionError:
        raise ConfigurationError(
            "the file is nested too deeply", where=str(path), remedy="name a TOML file of this program"
        ) from None


def _anchored(value: V, folder: Path) -> V:
    """Return ``value`` with every relative path in it counted from ``folder``."""
    match value:
        case Path():
            return folder / value
        case BaseModel():
            changed = {name: _anchored(getattr(value, name), folder) for name in type(value).model_fields}
            return value.model_copy(update=changed)
        case list() | tuple() if type(value) in (list, tuple):
            return type(value)(_anchored(item, folder) for item in value)
        case dict():
            return {key: _anchored(item, folder) for key, item in value.items()}  # type: ignore[return-value]  # same type
        case _:
            return value


def _in_words(error: ValidationError, path: Path, model: type[BaseModel]) -> ConfigurationError:
    """Turn pydantic's report into the one sentence that helps most."""
    details = error.errors(include_url=False, include_input=False)
    # A misspelt key is reported twice, as missing and as unknown: the second carries the remedy.
    first = next((detail for detail in details if detail["type"] == "extra_forbidden"), details[0])
    what, remedy = _complaint(first, model)
    return ConfigurationError(what, where=str(path), remedy=remedy)


def _complaint(detail: ErrorDetails, model: type[BaseModel]) -> tuple[str, str]:
    """Return what is wrong and what to do about one entry of pydantic's report."""
    location = detail["loc"]
    key = _key(location)
    kind = detail["type"]
    context = detail.get("ctx", {})
    if kind == "missing":
        return f"the key {key!r} is missing", "add it"
    if kind == "extra_forbidden":
        known = sorted(_keys_beside(location, model))
        close = difflib.get_close_matches(str(location[-1]), known, n=1)
        return (
            f"unknown key {key!r}",
            f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known)}",
        )
    if kind == "configuration":
        return f"the key {key!r}: {context['what']}", str(context["remedy"]) or "correct it"
    noun = _NOUNS.get(kind.split("_")[0]) if kind.endswith(("_type", "_parsing", "_from_float")) else None
    if noun:
        return f"the value of {key!r} has the wrong type", f"give {noun}"
    message = detail["msg"].removeprefix("Value error, ").replace("Input should", "it should")
    return f"the value of {key!r} cannot be used: {message[:1].lower()}{message[1:]}", "correct it"


def _key(location: tuple[int | str, ...]) -> str:
    """Write a place in the file: ``publisher#1.resources#2.path``, counting from 1."""
    text = ""
    for part in location:
        text += f"#{part + 1}" if isinstance(part, int) else f"{'.' if text else ''}{part}"
    return text or "(the whole file)"


def _keys_beside(location: tuple[int | str, ...], model: type[BaseModel]) -> set[str]:
    """Return the keys that are allowed in the table that holds ``location``."""
    tables = [model]
    for part in location[:-1]:
        if isinstance(part, str):
            fields = (field for table in tables for name, field in _named_fields(table) if name == part)
            tables = [inner for field in fields for inner in _models_in(field.annotation)]
    return {name for table in tables for name, _ in _named_fields(table)}


def _named_fields(table: type[BaseModel]) -> Iterator[tuple[str, FieldInfo]]:
    for name, field in table.model_fields.items():
        yield field.alias or name, field


def _models_in(annotation: object) -> Iterator[type[BaseModel]]:
    """Find the tables inside ``list[X]``, ``X | None``, ``Annotated[X, ...]`` and ``X`` itself."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif get_origin(annotation) in (list, tuple, dict, Union, types.UnionType, Annotated):
        for argument in get_args(annotation):
            yield from _models_in(argument)
