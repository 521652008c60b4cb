"""Certificates: who vouches for whom, how that is written down, and how it is checked.

Pure towards the network: bytes and a time come in, an identity or an error goes out. Two things are kept on
disk, both in files that the operator names: identity folders and the CA's home. Nothing here reads a clock.

    keys, names, roles           what a certificate may carry
    chains -> profile -> trust   a peer's certificates, parsed and judged
    verified                     what was judged a short while ago
    rejection, diagnosis         why they were refused
    hardware                     a private key that a token keeps
    stored                       an identity folder, read
    certificates, ledger, handover -> authority   the CA
"""

from twoway.pki.authority import LEAF_LIFETIME, CertificateAuthority
from twoway.pki.chains import CHAIN_BYTES_MAX, CHAIN_CERTIFICATES_MAX
from twoway.pki.hardware import HardwareKey, KeyURI, open_key
from twoway.pki.keys import KeyKind, PrivateKey, private_key_from_pem, request_of
from twoway.pki.ledger import LedgerEntry, latest_by_uri, read_ledger
from twoway.pki.rejection import CertificateReason, CertificateRejected
from twoway.pki.roles import Purpose, Role
from twoway.pki.stored import StoredIdentity, read_chain, read_identity
from twoway.pki.trust import TrustStore
from twoway.pki.verified import VerifiedPeer

__all__ = [
    "CHAIN_BYTES_MAX",
    "CHAIN_CERTIFICATES_MAX",
    "LEAF_LIFETIME",
    "CertificateAuthority",
    "CertificateReason",
    "CertificateRejected",
    "HardwareKey",
    "KeyKind",
    "KeyURI",
    "LedgerEntry",
    "PrivateKey",
    "Purpose",
    "Role",
    "StoredIdentity",
    "TrustStore",
    "VerifiedPeer",
    "latest_by_uri",
    "open_key",
    "private_key_from_pem",
    "read_chain",
    "read_identity",
    "read_ledger",
    "request_of",
]
