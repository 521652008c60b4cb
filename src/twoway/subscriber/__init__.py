"""The subscriber: reads and observes publishers, and gets itself a ticket where one is needed.

``rules`` says who is believed, ``grant`` what of the AC's answers, ``wallet`` which ticket is usable when,
``exchange`` speaks CoAP, ``ac`` asks the AC, ``admission`` gets past a refusal, ``key_entrance`` into
publishers without a certificate, ``revocation`` follows which tickets were revoked, ``client`` is the library
call: :class:`Subscriber`.
"""

from twoway.subscriber.audience import KeyedPublisher
from twoway.subscriber.client import Subscriber
from twoway.subscriber.reading import Reading
from twoway.subscriber.reference import ACReference
from twoway.subscriber.steps import (
    Handshake,
    Hint,
    Request,
    Response,
    Step,
    Steps,
    TicketObtained,
    TicketPresented,
    TicketRevoked,
)

__all__ = [
    "ACReference",
    "Handshake",
    "Hint",
    "KeyedPublisher",
    "Reading",
    "Request",
    "Response",
    "Step",
    "Steps",
    "Subscriber",
    "TicketObtained",
    "TicketPresented",
    "TicketRevoked",
]
