"""``twoway ca``: the certificate authority on this machine's disk."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from twoway.cli.console import say_json
from twoway.clock import SystemClock
from twoway.errors import ConfigurationError
from twoway.identity import identity_uri
from twoway.pki import (
    LEAF_LIFETIME,
    CertificateAuthority,
    KeyKind,
    KeyURI,
    Role,
    open_key,
    read_identity,
    request_of,
)

app = typer.Typer(help="Run a certificate authority.", no_args_is_help=True)

Home = Annotated[Path, typer.Argument(metavar="HOME", help="The authority's folder.")]
AsJSON = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


@app.command("init")
def init(
    home: Home,
    name: Annotated[str, typer.Option(help="What people call it; stands in its certificates.")] = "twoway CA",
    as_json: AsJSON = False,
) -> None:
    """Make a new authority: a root, and below it one that issues.

    Example:  [bold]twoway ca init ca --name "Building A"[/bold]
    """
    authority = CertificateAuthority.init(home, name=name, now=SystemClock().now())
    if as_json:
        say_json({"home": str(authority.home), "ledger": str(authority.ledger_path)})
    else:
        print(f"{home} holds a new authority; {home / 'ca.pem'} is what others trust")


@app.command("issue")
def issue(
    home: Home,
    name: Annotated[str, typer.Argument(help="A short name, or a whole urn:.")],
    role: Annotated[Role, typer.Option(help="What the holder may do with the certificate.")],
    key: Annotated[KeyKind | None, typer.Option(help="The kind of key to make.  [default: p-256]")] = None,
    csr: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Certify the key of this PKCS #10 request instead.")
    ] = None,
    host: Annotated[
        list[str] | None, typer.Option(help="A DNS name or address of the holder; may be repeated.")
    ] = None,
    attr: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="An attribute for the AC's registry; may be repeated."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where to write.  [default: HOME/identities/NAME]")
    ] = None,
    days: Annotated[
        int, typer.Option(min=1, max=3650, help="How long the certificate is in force.")
    ] = LEAF_LIFETIME.days,
    replace: Annotated[bool, typer.Option("--replace", help="Issue although the name was used.")] = False,
    as_json: AsJSON = False,
) -> None:
    """Issue an identity: a folder with key.pem, cert.pem and ca.pem.

    Attributes go into the authority's ledger, from which the AC takes them; they are not in the certificate.

    Example:  [bold]twoway ca issue ca meter-1 --role publisher --host meter-1.example
    --attr organisation=utility --attr region=zurich[/bold]
    """
    if csr is not None and key is not None:
        raise ConfigurationError("--csr brings a key and --key makes one", remedy="give one of them")
    authority = CertificateAuthority.open(home)
    now, lifetime = SystemClock().now(), timedelta(days=days)
    attributes = dict(_attribute(text) for text in attr or ())
    hosts = tuple(host or ())
    if csr is None:
        folder = authority.issue(
            name,
            role,
            now=now,
            key=key or KeyKind.P256,
            hosts=hosts,
            attributes=attributes,
            out=out,
            lifetime=lifetime,
            replace=replace,
        )
    else:
        folder = authority.sign_request(
            _read(csr),
            name,
            role,
            now=now,
            hosts=hosts,
            attributes=attributes,
            out=out,
            lifetime=lifetime,
            replace=replace,
        )
    not_after = read_identity(folder / "cert.pem").not_after
    if as_json:
        said = {"identity": identity_uri(name), "folder": str(folder), "role": role.value}
        say_json({**said, "not_after": not_after.isoformat()})
    else:
        print(f"{folder} holds {identity_uri(name)} as {role.value}, valid until {not_after:%Y-%m-%d}")


@app.command("request")
def request(
    key_uri: Annotated[Path, typer.Argument(metavar="KEY.URI", help="A file with the PKCS#11 URI of a key.")],
    out: Annotated[Path, typer.Argument(metavar="OUT.PEM", help="Where to write the request.")],
    as_json: AsJSON = False,
) -> None:
    """Make a certificate request with a key that a token keeps: a TPM, a secure element, an HSM.

    The authority certifies it with `twoway ca issue --csr OUT.PEM`. Put KEY.URI into the new folder then.

    Example:  [bold]twoway ca request meter/key.uri request.pem[/bold]
    """
    uri = KeyURI.parse(_read(key_uri).decode("utf-8", "replace"), where=str(key_uri))
    out.write_bytes(request_of(open_key(uri, where=str(key_uri))))
    if as_json:
        say_json({"request": str(out)})
    else:
        print(f"{out} asks for a certificate; have it signed with: twoway ca issue HOME NAME --csr {out}")


def _attribute(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise ConfigurationError(f"--attr {text!r} is not KEY=VALUE", remedy="write it like region=zurich")
    return key, value


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"it cannot be read ({error.strerror})", where=str(path)) from None
