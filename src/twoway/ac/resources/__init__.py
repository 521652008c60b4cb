"""The AC over CoAP. Resources read, have decided, have written, answer; they decide nothing.

door             each request first: how often may it be asked, who may observe
pending          how many requests wait for the database
token            POST /token, tickets                        RFC 9200 section 5.8
introspection    POST /introspect, what of a ticket holds    RFC 9200 section 5.9
revocation       GET /revoke/trl, revoked tickets            RFC 9770
keys             GET /keys, the keys that sign tickets
"""

from twoway.ac.resources.door import Door
from twoway.ac.resources.introspection import IntrospectionResource
from twoway.ac.resources.keys import KeysResource
from twoway.ac.resources.revocation import RevocationResource
from twoway.ac.resources.token import TokenResource

__all__ = ["Door", "IntrospectionResource", "KeysResource", "RevocationResource", "TokenResource"]
