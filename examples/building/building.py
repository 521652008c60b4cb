"""The building as its operator sets it up: a copy of the files beside this one, with identities and ports.

Nothing in here is special to the play: an operator writes the same files, and types the same commands
(docs/access-control.md has them). Only the ports are moved to free ones.
"""

from __future__ import annotations

import re
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from twoway.demo.ground import HOST, free_ports, require_empty, write_private
from twoway.pki import CertificateAuthority, Role

FILES: Final = Path(__file__).parent
PORTS: Final = {"ac": "5684", "meter-1": "5701", "meter-2": "5702", "boiler": "5703", "lift": "5704"}
"""Where the files say that everybody listens."""
METERS: Final = ("meter-1", "meter-2", "lift")
"""The publishers with a certificate; the boiler has none."""
SUBSCRIBERS: Final = ("tenant-1", "tenant-2", "grid", "emergency", "maintenance", "broker", "institute")
SUBSCRIBER: Final = """\
uri = "{ac}"
identity = "ac"

[[keyed_publisher]] # has no certificate: whoever has the key of our ticket is the boiler
identity = "boiler"
uri = "{boiler}"
"""
"""Whom a subscriber believes."""
SECRET_BYTES: Final = 32
POLICIES: Final = 'policies = "policies"\n'
"""The line of ac.toml after which stands what only a building has that was set up."""
SET_UP: Final = 'ledgers = ["home/issued.jsonl"]\nsealing_key = "sealing.hex"\n'
"""Who was certified, and with what secrets in the database are sealed."""


@dataclass(frozen=True)
class Building:
    """Where everything is."""

    folder: Path
    ports: Mapping[str, int]

    def identity(self, name: str) -> Path:
        """Return an identity's folder."""
        return self.folder / "home" / "identities" / name

    def config(self, name: str) -> Path:
        """Return a server's configuration file."""
        return self.folder / f"{name}.toml"

    def uri(self, name: str, path: str) -> str:
        """Return where a resource of a server is."""
        return f"coaps://localhost:{self.ports[name]}{path}"


def set_up(folder: Path, *, now: datetime) -> Building:
    """Set the building up in a new or empty folder.

    Raises:
        ConfigurationError: there is something in the folder, or it cannot be written.
        NetworkError: there are no free ports.
    """
    require_empty(folder)
    building = Building(folder, dict(zip(PORTS, free_ports(len(PORTS)), strict=True)))
    for name in ("policies", "values"):
        shutil.copytree(FILES / name, folder / name)
    for path in FILES.glob("*.toml"):
        (folder / path.name).write_text(_with_ports(path.read_text(), building.ports))
    ac = building.config("ac")
    ac.write_text(ac.read_text().replace(POLICIES, POLICIES + SET_UP))
    _issue_identities(building, now)
    write_private(folder / "sealing.hex", secrets.token_hex(SECRET_BYTES) + "\n")
    return building


def _with_ports(text: str, ports: Mapping[str, int]) -> str:
    moved = {PORTS[name]: str(port) for name, port in ports.items()}
    return re.sub(r"(?<=localhost:)\d+", lambda found: moved[found[0]], text)


def _issue_identities(building: Building, now: datetime) -> None:
    authority = CertificateAuthority.init(building.folder / "home", name="The building", now=now)
    hosts = ("localhost", HOST)
    authority.issue("ac", Role.AC, now=now, hosts=hosts)
    for name in METERS:
        authority.issue(name, Role.PUBLISHER, now=now, hosts=hosts)
    for name in SUBSCRIBERS:
        folder = authority.issue(name, Role.SUBSCRIBER, now=now)
        (folder / "ac.toml").write_text(
            SUBSCRIBER.format(ac=building.uri("ac", "/token"), boiler=building.uri("boiler", ""))
        )
