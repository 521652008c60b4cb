"""Policies: who may read what, decided by Cedar (https://www.cedarpolicy.com) over a schema of our own.

    entities, grants                what is judged, and what is granted by hand
    policy_files, cedar, documents  policies from a folder; the engine; a question as the engine takes it
    slices, policy_set              which policies a question is put to; the decision
    conditions, explanation         why, and what would have to be different;
    wording                         the same in plain words
    lint                            what is wrong with policies, and which of them never apply
    regions                         the ISP region of an address

Pure but for the files that are loaded. No policy is active by default, so nothing is permitted by default.
"""

from twoway.policy.entities import (
    ACTIONS,
    Circumstances,
    Jurisdiction,
    PublisherEntity,
    Question,
    SubscriberEntity,
)
from twoway.policy.grants import LinkedGrant
from twoway.policy.policy_files import DEFAULT_DENY
from twoway.policy.policy_set import Decision, PolicySet

__all__ = [
    "ACTIONS",
    "DEFAULT_DENY",
    "Circumstances",
    "Decision",
    "Jurisdiction",
    "LinkedGrant",
    "PolicySet",
    "PublisherEntity",
    "Question",
    "SubscriberEntity",
]
