"""The access control server: who exists, who may read what, and the tickets that say so.

    config -> directory -> registry      who exists, from the operator's file and the CA's ledgers
    entity, atlas                        somebody, and what follows from where they belong
    surroundings, rights                 region and purpose; who may do what, by the policies
    service, decisions                   whether a requester gets a ticket; pure
    inquiry, expectations                the same questions asked by people, and what they expect
    storage                              the database: SQLite or PostgreSQL
    granting                             rights given by hand, and taken back with their tickets
    tickets, grants, audit               what was issued, given by hand, decided; on the disk before an answer
    generation                           what one replica changed, followed by the others
    resources, app                       the token endpoint over coaps, and everything wired together

It must never answer with a ticket that is not in the audit, nor bind one to a key that was not proved.
"""

from twoway.ac.app import serve
from twoway.ac.audit import AuditLog, ChainEnd, export_audit, read_audit, reading_audit, verify_audit
from twoway.ac.config import ACConfig, load_config
from twoway.ac.decisions import Answer, AuditEntry, Grant, Outcome, Refusal
from twoway.ac.directory import Directory, compile_directory
from twoway.ac.entity import Entity
from twoway.ac.expectations import compare, load_expectations, parse_time
from twoway.ac.granting import GrantBook
from twoway.ac.inquiry import Inquiry, InquiryDesk, resource_target
from twoway.ac.registry import Registry
from twoway.ac.resources import TokenResource
from twoway.ac.revocation_changes import RevocationChange
from twoway.ac.service import TokenService
from twoway.ac.storage import Database, DatabaseAddress, parse_address
from twoway.ac.surroundings import Surroundings
from twoway.ac.tickets import HolderRevoked, TicketRecord, TicketRecords

__all__ = [
    "ACConfig",
    "Answer",
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
    "Refusal",
    "Registry",
    "RevocationChange",
    "Surroundings",
    "TicketRecord",
    "TicketRecords",
    "TokenResource",
    "TokenService",
    "compare",
    "compile_directory",
    "export_audit",
    "load_config",
    "load_expectations",
    "parse_address",
    "parse_time",
    "read_audit",
    "reading_audit",
    "resource_target",
    "serve",
    "verify_audit",
]
