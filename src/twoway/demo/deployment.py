"""The demonstration's deployment: what an operator would set up, written into one folder.

It uses the same calls and files that an operator uses; nothing here is special to the demonstration but
the names.
"""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from twoway.demo.ground import HOST, free_ports, require_empty, write_private
from twoway.errors import ConfigurationError
from twoway.identity import identity_uri
from twoway.pki import CertificateAuthority, KeyKind, Role

OWN_HOSTS: Final = (HOST, "localhost")
REGION: Final = "zurich"
WRONG_REGION: Final = "vienna"
ORGANISATION: Final = "utility"
REGION_POLICY: Final = "readings-stay-in-their-region"
PSK_NAME: Final = "sink"
PSK_CHARACTERS: Final = 32
"""128 random bits, written as hexadecimal digits. The digits themselves are the key: coap-client takes keys
as text on its command line and nowhere else."""

_SOURCE_PACKAGES: Final = {"dsmr-parser": "dsmr_parser", "psutil": "psutil"}
"""The packages that the publishers read their figures with, and the modules to know them by."""

_POLICIES = f"""\
// Whoever works for the organisation that runs a publisher may read it...
@id("organisation-reads-its-publishers")
permit (principal, action == Twoway::Action::"GET", resource)
when {{ principal.organisation == resource.publisher.organisation }};

// ...but readings do not leave the region in which they were measured, whoever asks.
@id("{REGION_POLICY}")
forbid (principal, action, resource)
unless {{ principal.region == resource.publisher.region }};
"""


@dataclass(frozen=True)
class Place:
    """A publisher of the deployment."""

    name: str
    port: int
    resource: str
    """Its one resource's path."""
    credential: str
    """What it proves itself with: ``rsa-2048``, ``p-256`` or ``psk``."""

    @property
    def uri(self) -> str:
        """Where it listens."""
        return f"coaps://{HOST}:{self.port}"

    @property
    def resource_uri(self) -> str:
        """Where its readings are."""
        return self.uri + self.resource

    @property
    def identity(self) -> str:
        """Who it is."""
        return identity_uri(self.name)


@dataclass(frozen=True)
class Deployment:
    """Where everything is."""

    folder: Path
    ac_port: int
    meter: Place
    water: Place
    machine: Place
    psk: bytes = field(repr=False)

    @property
    def ac_uri(self) -> str:
        """Where the AC listens."""
        return f"coaps://{HOST}:{self.ac_port}"

    @property
    def token_uri(self) -> str:
        """Where tickets are issued."""
        return f"{self.ac_uri}/token"

    @property
    def publishers(self) -> tuple[Place, Place, Place]:
        """All three."""
        return (self.meter, self.water, self.machine)

    def identity(self, name: str) -> Path:
        """Return an identity's folder."""
        return self.folder / "identities" / name

    def config(self, name: str) -> Path:
        """Return an actor's configuration file."""
        return self.folder / f"{name}.toml"

    def describe(self) -> Mapping[str, object]:
        """Say where everything is, for programs: what ``demo.json`` holds."""
        readers = ("sink", "subscriber", "wrong_region", "outsider")
        return {
            "ac": self.ac_uri,
            "publishers": {
                place.name: {"uri": place.uri, "resource": place.resource, "credential": place.credential}
                for place in self.publishers
            },
            "identities": {name: str(self.identity(_folder_name(name)).absolute()) for name in readers},
            "psk": {"identity": PSK_NAME, "key_hex": self.psk.hex()},
        }

    def write_description(self) -> Path:
        """Write ``demo.json``; whoever sees the file sees all of it."""
        path = self.folder / "demo.json"
        write_private(path.with_suffix(".part"), json.dumps(self.describe(), indent=2) + "\n")
        path.with_suffix(".part").replace(path)
        return path


def deploy(folder: Path, *, now: datetime) -> Deployment:
    """Set up everything in an empty or new folder.

    Raises:
        ConfigurationError: the folder holds something already, or cannot be written, or the packages that
            its publishers read their figures with are not installed.
        NetworkError: there are no free ports.
    """
    _require_sources()
    require_empty(folder)
    ports = free_ports(4)
    deployment = Deployment(
        folder=folder,
        ac_port=ports[0],
        meter=Place("meter", ports[1], "/electricity", "p-256"),
        water=Place("water", ports[2], "/flow", "rsa-2048"),
        machine=Place("machine", ports[3], "/host", "psk"),
        psk=secrets.token_hex(PSK_CHARACTERS // 2).encode(),
    )
    _issue_identities(deployment, now)
    policies = folder / "policies"
    policies.mkdir()
    (policies / "readings.cedar").write_text(_POLICIES)
    write_private(folder / "psk-sink.hex", deployment.psk.hex() + "\n")
    deployment.config("ac").write_text(_ac_toml(deployment))
    deployment.config("meter").write_text(_meter_toml(deployment))
    deployment.config("water").write_text(_water_toml(deployment))
    deployment.config("machine").write_text(_machine_toml(deployment))
    deployment.config("sink").write_text(_sink_toml(deployment))
    return deployment


def _issue_identities(deployment: Deployment, now: datetime) -> None:
    authority = CertificateAuthority.init(deployment.folder / "ca", name="twoway demonstration", now=now)
    at_home = {"organisation": ORGANISATION, "region": REGION}

    def issue(
        name: str, role: Role, key: KeyKind = KeyKind.P256, attributes: Mapping[str, str] = at_home
    ) -> Path:
        hosts = () if role is Role.SUBSCRIBER else OWN_HOSTS
        return authority.issue(
            name,
            role,
            now=now,
            key=key,
            hosts=hosts,
            attributes=attributes,
            out=deployment.identity(name),
        )

    issue("ac", Role.AC)
    issue("meter", Role.PUBLISHER)
    issue("water", Role.PUBLISHER, KeyKind.RSA2048)
    issue("sink", Role.SINK)
    # Who acts in the play holds tickets afterwards; the subscriber is for those who come to a deployment
    # that is held, and has never asked for anything.
    readers = [issue("player", Role.SUBSCRIBER), issue("subscriber", Role.SUBSCRIBER)]
    readers.append(
        issue(
            "wrong-region", Role.SUBSCRIBER, attributes={"organisation": ORGANISATION, "region": WRONG_REGION}
        )
    )
    # The outsider's certificate is by an authority that nobody here trusts, while it trusts ours: so it
    # gets as far as its own certificate.
    others = CertificateAuthority.init(deployment.folder / "other-ca", name="somebody else", now=now)
    outsider = others.issue("outsider", Role.SUBSCRIBER, now=now, out=deployment.identity("outsider"))
    shutil.copyfile(deployment.identity("subscriber") / "ca.pem", outsider / "ca.pem")
    for reader in (*readers, outsider):
        (reader / "ac.toml").write_text(
            f'uri = "{deployment.token_uri}"\nidentity = "{identity_uri("ac")}"\n'
        )


def _ac_toml(deployment: Deployment) -> str:
    tables = "".join(
        f"""
[[publisher]]
identity = "{place.identity}"
resources = [{{ path = "{place.resource}", methods = ["GET"] }}]
"""
        for place in (deployment.meter, deployment.water)
    )
    return f"""\
identity = "identities/ac"
listen = "{HOST}:{deployment.ac_port}"
database = "ac.sqlite"
policies = "policies"
ticket_lifetime = 600
ledgers = ["ca/issued.jsonl"]
{tables}"""


def _publisher_head(deployment: Deployment, place: Place) -> str:
    return f"""\
identity = "identities/{place.name}"
listen = "{HOST}:{place.port}"
default_subscribers = ["{identity_uri("sink")}"]

[ac]
uri = "{deployment.token_uri}"
certificate = "identities/ac/cert.pem"
"""


def _meter_toml(deployment: Deployment) -> str:
    return f"""\
{_publisher_head(deployment, deployment.meter)}
[[resource]]
path = "{deployment.meter.resource}"
source = "p1"
files = ["recorded:p1/kaifa-v4.2.txt", "recorded:p1/iskra-v5.txt", "recorded:p1/sagemcom-t210.txt"]
interval = 1.0
"""


def _water_toml(deployment: Deployment) -> str:
    return f"""\
{_publisher_head(deployment, deployment.water)}
[[resource]]
path = "{deployment.water.resource}"
source = "csv"
file = "recorded:water-flow.csv"
name = "flow"
unit = "l/s"
interval = 1.0
"""


def _machine_toml(deployment: Deployment) -> str:
    return f"""\
name = "{deployment.machine.identity}"
listen = "{HOST}:{deployment.machine.port}"
default_subscribers = ["psk:{PSK_NAME}"]
psk = [{{ identity = "{PSK_NAME}", key_file = "psk-sink.hex" }}]

[[resource]]
path = "{deployment.machine.resource}"
source = "host"
interval = 1.0
"""


def _sink_toml(deployment: Deployment) -> str:
    tables = "".join(
        f"""
[[publisher]]
uri = "{place.resource_uri}"
identity = "{place.identity}"
"""
        for place in deployment.publishers
    )
    key = f'psk = {{ identity = "{PSK_NAME}", key_file = "psk-sink.hex" }}\n'
    return f'identity = "identities/sink"\ndatabase = "sink.sqlite"\n{tables}{key}'


def _folder_name(name: str) -> str:
    return name.replace("_", "-")


def _require_sources() -> None:
    missing = [package for package, module in _SOURCE_PACKAGES.items() if find_spec(module) is None]
    if missing:
        raise ConfigurationError(
            f"the demonstration's publishers need {' and '.join(missing)}",
            remedy="run: pip install 'twoway[demo]'",
        )
