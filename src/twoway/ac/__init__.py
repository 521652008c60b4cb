"""The access control server: who exists, who may read what, and the tickets that say so.

    config, server_config                what ac.toml may say
    directory -> registry                who exists, from the operator's file and the CA's ledgers
    entity, atlas                        somebody, and what follows from where they belong
    surroundings, rights                 region and purpose; who may do what, by the policies
    requester, binding, service          who asks, with which key, and whether they get a ticket; pure
    keyed_publisher                      who proves no certificate but the secret that it shares with us; pure
    approval, decisions                  what becomes of it: the ticket and its rows, or a refusal; pure
    introspection, revocation            what holds of a ticket, and which are revoked; pure
    signing_keys, sealing, secrets       the keys of tickets, their rotation, and what is stored sealed
    rate                                 how often one requester may ask
    inquiry, expectations, granting      the same questions asked by people, what they expect, grants by hand
    operators, upkeep, ticket_book       who operates it; what they do to keys, secrets and tickets meanwhile
    storage                              the database: SQLite or PostgreSQL
    tickets, ticket_orders, grants,      its rows: on the disk before an answer leaves
    revocation_changes, audit, sealed_rows, ticket_record
    generation, picture, live            what decisions read, and how it is kept current
    resources, control, app              the endpoints over coaps, a socket for commands, everything wired

It must never answer with a ticket that is not in the audit, nor bind one to a key that was not proved.
"""

from twoway.ac.app import serve
from twoway.ac.approval import Approval, Asking
from twoway.ac.audit import AuditLog, ChainEnd, export_audit, read_audit, reading_audit, verify_audit
from twoway.ac.config import ACConfig, load_config
from twoway.ac.control import ask as ask_ac
from twoway.ac.decisions import AuditEntry, Grant, Outcome, Refusal
from twoway.ac.directory import Directory, compile_directory
from twoway.ac.entity import Entity
from twoway.ac.expectations import compare, load_expectations, parse_time
from twoway.ac.granting import GrantBook
from twoway.ac.inquiry import Inquiry, InquiryDesk, asked_target, resource_target
from twoway.ac.operators import this_user
from twoway.ac.picture import Picture
from twoway.ac.registry import Registry
from twoway.ac.revocation import RevocationChange, RevocationList
from twoway.ac.service import TokenService
from twoway.ac.storage import Database, DatabaseAddress, parse_address
from twoway.ac.surroundings import Surroundings
from twoway.ac.ticket_book import TicketBook
from twoway.ac.ticket_orders import HolderRevoked
from twoway.ac.ticket_record import TicketRecord
from twoway.ac.tickets import TicketRecords
from twoway.ac.upkeep import add_secret, drop_secret, rotate_key

__all__ = [
    "ACConfig",
    "Approval",
    "Asking",
    "AuditEntry",
    "AuditLog",
    "ChainEnd",
    "Database",
    "DatabaseAddress",
    "Directory",
    "Entity",
    "Grant",
    "GrantBook",
    "HolderRevoked",
    "Inquiry",
    "InquiryDesk",
    "Outcome",
    "Picture",
    "Refusal",
    "Registry",
    "RevocationChange",
    "RevocationList",
    "Surroundings",
    "TicketBook",
    "TicketRecord",
    "TicketRecords",
    "TokenService",
    "add_secret",
    "ask_ac",
    "asked_target",
    "compare",
    "compile_directory",
    "drop_secret",
    "export_audit",
    "load_config",
    "load_expectations",
    "parse_address",
    "parse_time",
    "read_audit",
    "reading_audit",
    "resource_target",
    "rotate_key",
    "serve",
    "this_user",
    "verify_audit",
]
