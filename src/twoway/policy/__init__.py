"""Policies: who may read what, decided by Cedar (https://www.cedarpolicy.com) over a schema of our own.

Pure but for the folder that is loaded. No policy is active by default, so nothing is permitted by default.
"""

from twoway.policy.entities import PublisherEntity, SubscriberEntity
from twoway.policy.policy_set import DEFAULT_DENY, Decision, PolicySet

__all__ = ["DEFAULT_DENY", "Decision", "PolicySet", "PublisherEntity", "SubscriberEntity"]
