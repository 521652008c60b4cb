"""The publisher: it has readings, and hands them to those who prove who they are and may have them.

``service`` decides, ``guard`` asks it about every request and notification, the resources answer, and
``app`` puts it all on a socket. Begin with :func:`serve`.
"""

from twoway.publisher.app import serve
from twoway.publisher.authority import Authority
from twoway.publisher.config import PublisherConfig, load_config
from twoway.publisher.refusal import AccessReason, AccessRefused
from twoway.publisher.service import AccessControl, Permit, Upload
from twoway.publisher.target import Target

__all__ = [
    "AccessControl",
    "AccessReason",
    "AccessRefused",
    "Authority",
    "Permit",
    "PublisherConfig",
    "Target",
    "Upload",
    "load_config",
    "serve",
]
