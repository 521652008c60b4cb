"""The access control server: who exists, who may read what, and the tickets that say so.

    config, server_config                what ac.toml may say
    directory -> registry                who exists, from the operator's file and the CA's ledgers
    entity, atlas                        somebody, and what follows from where they belong
    requester, rights, service           whether a requester gets a ticket; pure
    introspection, revocation            what holds of a ticket, and which are revoked; pure
    signing_keys, sealing                the keys of tickets and their rotation; seals on what is stored
    rate                                 how often one requester may ask
    storage                              the database: SQLite or PostgreSQL
    tickets, grants, audit, sealed_rows  its rows: on the disk before an answer leaves
    generation, picture, live            what decisions read, and how it is kept current
    resources, control, app              the endpoints over coaps, a socket for commands, everything wired

It must never answer with a ticket that is not in the audit, nor bind one to a key that was not proved.
"""

from twoway.ac.app import serve
from twoway.ac.approval import Approval, Asking
from twoway.ac.audit import AuditLog, read_audit
from twoway.ac.config import ACConfig, load_config
from twoway.ac.control import ask as ask_ac
from twoway.ac.decisions import AuditEntry, Grant, Outcome, Refusal
from twoway.ac.directory import Directory, compile_directory
from twoway.ac.entity import Entity
from twoway.ac.picture import Picture
from twoway.ac.registry import Registry
from twoway.ac.service import TokenService
from twoway.ac.storage import Database

__all__ = [
    "ACConfig",
    "Approval",
    "Asking",
    "AuditEntry",
    "AuditLog",
    "Database",
    "Directory",
    "Entity",
    "Grant",
    "Outcome",
    "Picture",
    "Refusal",
    "Registry",
    "TokenService",
    "ask_ac",
    "compile_directory",
    "load_config",
    "read_audit",
    "serve",
]
