"""The registered numbers of ACE, CWT and COSE, each under the name that its RFC gives it.

Owns numbers and nothing else, in one place, since the same idea has different numbers in different
registries: the audience is 5 in a token request and 3 in a claim set, and mixing them up is the most
common fault of implementations. Only the numbers that the package uses stand here.
"""

from __future__ import annotations

from enum import IntEnum

CONTENT_FORMAT_ACE = 19
"""``application/ace+cbor`` (RFC 9200 section 8.16): token requests, responses, errors and hints."""
CONTENT_FORMAT_CWT = 61
"""``application/cwt`` (RFC 8392 section 9.3): a ticket on its way to a publisher."""
CONTENT_FORMAT_COSE_KEY_SET = 102
"""``application/cose-key-set`` (RFC 9052 section 11.3.2): the keys that an AC signs with."""
CONTENT_FORMAT_PROBLEM_DETAILS = 257
"""``application/concise-problem-details+cbor`` (RFC 9290): errors of the revocation list."""
CONTENT_FORMAT_TRL = 262
"""``application/ace-trl+cbor`` (RFC 9770): the list of revoked tickets."""

TAG_COSE_ENCRYPT0 = 16
"""RFC 9052 section 2."""
TAG_COSE_SIGN1 = 18
"""RFC 9052 section 2."""
TAG_CWT = 61
"""RFC 8392 section 6."""


class Parameter(IntEnum):
    """Keys of token requests, responses and errors (RFC 9200 section 8.10, RFC 9201 section 5)."""

    ACCESS_TOKEN = 1
    EXPIRES_IN = 2
    REQ_CNF = 4
    AUDIENCE = 5
    CNF = 8
    SCOPE = 9
    CLIENT_ID = 24
    ERROR = 30
    ERROR_DESCRIPTION = 31
    GRANT_TYPE = 33
    TOKEN_TYPE = 34
    ACE_PROFILE = 38
    CNONCE = 39
    RS_CNF = 41


class Hint(IntEnum):
    """Keys of AS Request Creation Hints (RFC 9200 section 5.3)."""

    AS = 1
    KID = 2
    AUDIENCE = 5
    SCOPE = 9
    CNONCE = 39


class Claim(IntEnum):
    """Keys of a CWT claim set (RFC 8392 section 4, RFC 8747 section 3, RFC 9200 section 8.13)."""

    ISS = 1
    SUB = 2
    AUD = 3
    EXP = 4
    NBF = 5
    IAT = 6
    CTI = 7
    CNF = 8
    SCOPE = 9
    ACE_PROFILE = 38
    CNONCE = 39
    EXI = 40


class Introspection(IntEnum):
    """Keys of introspection; those of the claims are the same (RFC 9200 section 5.9, table 6)."""

    ACTIVE = 10
    TOKEN = 11
    TOKEN_TYPE_HINT = 33


class TRLParameter(IntEnum):
    """Keys of an answer about revoked tickets (RFC 9770 section 12)."""

    FULL_SET = 0
    DIFF_SET = 1
    CURSOR = 2
    MORE = 3


class TRLErrorID(IntEnum):
    """What is wrong with a query for revoked tickets (RFC 9770 section 13)."""

    INVALID_PARAMETER_VALUE = 0
    """``diff`` or ``cursor`` is not a number, or too large a one."""
    INVALID_SET_OF_PARAMETERS = 1
    """``cursor`` without ``diff``."""
    OUT_OF_BOUND_CURSOR = 2
    """A cursor that lies ahead of the last change."""


class ProblemDetail(IntEnum):
    """Keys of concise problem details (RFC 9290 section 2, RFC 9770 section 6.1)."""

    TITLE = -1
    DETAIL = -2
    ACE_TRL_ERROR = 1


class ConfirmationMethod(IntEnum):
    """Members of a ``cnf`` claim (RFC 8747 section 3.1, RFC 9203 section 3.2.1, RFC 9679 section 5.6)."""

    COSE_KEY = 1
    ENCRYPTED_COSE_KEY = 2
    KID = 3
    OSC = 4
    CKT = 5


class GrantType(IntEnum):
    """RFC 9200 section 5.8.2, table 4."""

    CLIENT_CREDENTIALS = 2


class TokenType(IntEnum):
    """RFC 9200 section 8.7."""

    POP = 2


class Profile(IntEnum):
    """ACE profiles (RFC 9200 section 8.8)."""

    COAP_DTLS = 1
    """RFC 9202; since RFC 9430 for TLS too."""


class ErrorCode(IntEnum):
    """What the AC answers when it issues no ticket (RFC 9200 section 5.8.3, table 3)."""

    INVALID_REQUEST = 1
    """Not a request: wrong types, something missing, a key that the client did not prove."""
    INVALID_CLIENT = 2
    """The client is not authenticated, or is not whom it says."""
    INVALID_GRANT = 3
    """The presented grant is not valid."""
    UNAUTHORIZED_CLIENT = 4
    """Authenticated, but not allowed to ask for tickets."""
    UNSUPPORTED_GRANT_TYPE = 5
    """Another grant than client credentials."""
    INVALID_SCOPE = 6
    """The scope is unknown or malformed, or nothing of it may be granted."""
    UNSUPPORTED_POP_KEY = 7
    """The publisher cannot work with this kind of key."""
    INCOMPATIBLE_ACE_PROFILES = 8
    """Client and publisher share no profile."""

    @property
    def response_code(self) -> tuple[int, int]:
        """The CoAP class and detail that carry it: 4.01 for an unauthenticated client, else 4.00."""
        return (4, 1) if self is ErrorCode.INVALID_CLIENT else (4, 0)

    @property
    def label(self) -> str:
        """The name as the RFC writes it: ``invalid_scope``."""
        return self.name.lower()


class HeaderParameter(IntEnum):
    """COSE header parameters (RFC 9052 section 3.1)."""

    ALG = 1
    CRIT = 2
    KID = 4
    IV = 5


class Algorithm(IntEnum):
    """COSE algorithms (RFC 9053 sections 2.1, 4.1 and 4.2, RFC 9054 section 3.2)."""

    ES256 = -7
    SHA_256 = -16
    A128GCM = 1
    AES_CCM_16_64_128 = 10
    AES_CCM_16_128_128 = 30


class KeyParameter(IntEnum):
    """COSE_Key parameters (RFC 9052 section 7.1, RFC 9053 section 7.1.1)."""

    KTY = 1
    KID = 2
    ALG = 3
    KEY_OPS = 4
    CRV = -1
    X = -2
    Y = -3
    D = -4


class RSAKeyParameter(IntEnum):
    """COSE_Key parameters of an RSA key (RFC 8230 section 4). All below -2 are private."""

    N = -1
    E = -2


class SymmetricKeyParameter(IntEnum):
    """COSE_Key parameters of a symmetric key (RFC 9053 section 7.3)."""

    K = -1


class KeyType(IntEnum):
    """RFC 9053 section 7, RFC 8230 section 4."""

    OKP = 1
    EC2 = 2
    RSA = 3
    SYMMETRIC = 4


class KeyOperation(IntEnum):
    """RFC 9052 section 7.1, table 5."""

    VERIFY = 2
    DERIVE_KEY = 7
    DERIVE_BITS = 8


class Curve(IntEnum):
    """RFC 9053 section 7.1."""

    P_256 = 1
