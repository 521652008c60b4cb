"""A private key that a token keeps: a TPM, a secure element, an HSM, met by way of PKCS#11 (OASIS, 3.0).

An identity folder has either `key.pem` or `key.uri`, one line with the key's PKCS#11 URI (RFC 7512)::

    pkcs11:token=meter;object=dtls?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=/etc/twoway/pin

It owns that URI and the session with the token. What comes out is a private key of `cryptography`'s own
interface, so that whoever signs need not know where the key is. The key cannot be read, does not take part in
key agreement, and never decrypts: many tokens tell about the padding by how they fail (RFC 5246 section
7.4.7.1). A token may take its time; whoever has an event loop asks it from a thread. This is the only module
that imports `pkcs11` (extra ``hardware``), and it does so when a key is opened.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, NoReturn, cast
from urllib.parse import parse_qsl, unquote, unquote_to_bytes

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature
from cryptography.hazmat.primitives.serialization import load_der_public_key

from twoway.errors import ConfigurationError
from twoway.pki.files import read_private_file

if TYPE_CHECKING:
    import pkcs11

Buffer = bytes | bytearray | memoryview
"""What `cryptography` lets be signed."""

KEY_URI_FILE = "key.uri"
"""In the place of `key.pem`. It holds no secret: the PIN stands in a file of its own."""

_ATTRIBUTES = ("token", "object", "id")
_QUERIES = ("module-path", "pin-source")
_SENTENCE = "pkcs11:token=NAME;object=NAME?module-path=/path/of/module.so&pin-source=/path/of/pin"
_HASHES = {"sha256": hashes.SHA256, "sha384": hashes.SHA384}


@dataclass(frozen=True)
class KeyURI:
    """Where a key is: the parts of a PKCS#11 URI (RFC 7512 section 2.3) that this project uses."""

    token: str
    """Label of the token."""
    module: Path
    """The shared object that speaks PKCS#11 to it."""
    pin_file: Path
    """A file of mode 0600 that holds the user's PIN."""
    label: str | None = None
    """Label of the key (``object``)."""
    key_id: bytes | None = None
    """``id`` of the key."""

    @classmethod
    def parse(cls, text: str, *, where: str) -> KeyURI:
        """Read a URI that the operator wrote.

        Raises:
            ConfigurationError: it is no PKCS#11 URI, or something is missing, twice, or not used here.
        """
        path, _, query = text.strip().removeprefix("pkcs11:").partition("?")
        if not text.strip().startswith("pkcs11:"):
            raise _wrong("it is not a PKCS#11 URI", where)
        attributes = [part.partition("=")[::2] for part in path.split(";") if part]
        queries = parse_qsl(query, keep_blank_values=True)
        for known, found in ((_ATTRIBUTES, attributes), (_QUERIES, queries)):
            names = [name for name, _ in found]
            for name in names:
                if name not in known:
                    raise _wrong(f"the URI names {name!r}, which is not used here", where)
                if names.count(name) > 1:
                    raise _wrong(f"the URI names {name!r} twice", where)
        values = {**dict(attributes), **dict(queries)}
        for name in ("token", *_QUERIES):
            if not values.get(name):
                raise _wrong(f"the URI does not name {name!r}", where)
        if "object" not in values and "id" not in values:
            raise _wrong("the URI names neither 'object' nor 'id'", where)
        return cls(
            token=unquote(values["token"]),
            module=Path(values["module-path"]),
            pin_file=Path(values["pin-source"].removeprefix("file:")),
            label=unquote(values["object"]) if "object" in values else None,
            key_id=unquote_to_bytes(values["id"]) if "id" in values else None,
        )


class TokenKey:
    """A private key object of a token and the session in which it is used, one signature at a time."""

    def __init__(self, key: pkcs11.SignMixin, driver: ModuleType) -> None:
        self._key = key
        self._driver = driver
        self._lock = threading.Lock()

    def sign(self, data: bytes, mechanism: str, *, salted: str | None = None) -> bytes:
        """Have the token sign with a mechanism of PKCS#11, named without its ``CKM_``.

        Args:
            data: what the mechanism takes: the data, or its digest.
            mechanism: ``ECDSA``, for one.
            salted: for PSS the hash, ``SHA256``; its salt is as long as its digest.

        Raises:
            ConfigurationError: the token refuses, has been taken out, or does not know the mechanism.
        """
        known = self._driver.Mechanism
        parameters = None
        if salted is not None:
            parameters = (known[salted], self._driver.MGF[salted], len(data))
        try:
            with self._lock:  # a PKCS#11 session is used by one thread at a time
                return bytes(self._key.sign(data, mechanism=known[mechanism], mechanism_param=parameters))
        except self._driver.PKCS11Error as fault:
            raise ConfigurationError(
                f"the key's token did not sign ({type(fault).__name__})",
                remedy="check that the token is there and that the key may sign",
            ) from None

    def __repr__(self) -> str:
        return "<key in a token>"


class _InToken:
    """What no key of a token does."""

    _token: TokenKey

    def private_numbers(self) -> NoReturn:
        """Refuse: the token does not give the key away."""
        raise UnsupportedAlgorithm("the key stays in its token")

    def private_bytes(self, *_: object, **__: object) -> NoReturn:
        """Refuse, likewise."""
        raise UnsupportedAlgorithm("the key stays in its token")

    def __copy__(self) -> NoReturn:
        raise UnsupportedAlgorithm("the key stays in its token")

    def __deepcopy__(self, memo: object) -> NoReturn:
        raise UnsupportedAlgorithm("the key stays in its token")

    def __repr__(self) -> str:
        return repr(self._token)


class HardwareECKey(_InToken, ec.EllipticCurvePrivateKey):
    """An ECDSA key on P-256 or P-384 in a token."""

    def __init__(self, token: TokenKey, public_key: ec.EllipticCurvePublicKey) -> None:
        self._token = token
        self._public_key = public_key

    def public_key(self) -> ec.EllipticCurvePublicKey:
        """The public half."""
        return self._public_key

    @property
    def curve(self) -> ec.EllipticCurve:
        """The curve."""
        return self._public_key.curve

    @property
    def key_size(self) -> int:
        """Bits of the curve."""
        return self._public_key.key_size

    def sign(self, data: Buffer, signature_algorithm: ec.EllipticCurveSignatureAlgorithm) -> bytes:
        """Sign with ECDSA; the digest is made here, the signature there. DER, as `cryptography` gives it.

        Raises:
            ConfigurationError: the token did not sign.
            UnsupportedAlgorithm: another hash than SHA-256 and SHA-384, or one that was applied before.
        """
        raw = self._token.sign(_digest(data, signature_algorithm.algorithm), "ECDSA")
        half = len(raw) // 2
        return encode_dss_signature(int.from_bytes(raw[:half]), int.from_bytes(raw[half:]))

    def exchange(self, algorithm: ec.ECDH, peer_public_key: ec.EllipticCurvePublicKey) -> NoReturn:
        """Refuse: a certified key signs and does nothing else."""
        raise UnsupportedAlgorithm("the key in the token only signs")


class HardwareRSAKey(_InToken, rsa.RSAPrivateKey):
    """An RSA key in a token, for signatures."""

    def __init__(self, token: TokenKey, public_key: rsa.RSAPublicKey) -> None:
        self._token = token
        self._public_key = public_key

    def public_key(self) -> rsa.RSAPublicKey:
        """The public half."""
        return self._public_key

    @property
    def key_size(self) -> int:
        """Bits of the modulus."""
        return self._public_key.key_size

    def sign(
        self,
        data: Buffer,
        padding: padding.AsymmetricPadding,
        algorithm: Prehashed | hashes.HashAlgorithm | object,
    ) -> bytes:
        """Sign with RSASSA-PKCS1-v1_5, or RSASSA-PSS with a salt as long as the digest (RFC 8017 section 8).

        Raises:
            ConfigurationError: the token did not sign.
            UnsupportedAlgorithm: another hash than SHA-256 and SHA-384.
        """
        digest = _digest(data, algorithm)
        hashed = f"SHA{8 * len(digest)}"
        if padding.name == "EMSA-PSS":
            return self._token.sign(digest, "RSA_PKCS_PSS", salted=hashed)
        return self._token.sign(bytes(data), f"{hashed}_RSA_PKCS")

    def decrypt(self, ciphertext: bytes, padding: padding.AsymmetricPadding) -> NoReturn:
        """Refuse: nothing says how this token fails."""
        raise UnsupportedAlgorithm("the key in the token only signs")


HardwareKey = HardwareECKey | HardwareRSAKey
"""A key in a token."""


def open_key(uri: KeyURI, *, where: str) -> HardwareKey:
    """Log in to the token and find the key; the session lasts as long as the process.

    Args:
        uri: where it is.
        where: the file that named it, for errors.

    Raises:
        ConfigurationError: the driver is not installed, or module, token, PIN or key is not as named, or the
            key is none of P-256, P-384 and RSA-2048.
    """
    driver = _driver(where)
    pin = read_private_file(uri.pin_file).decode("utf-8", "replace").strip()
    try:
        token = driver.lib(str(uri.module)).get_token(token_label=uri.token)
        session = _session(token, pin, driver)
        private = session.get_key(driver.ObjectClass.PRIVATE_KEY, label=uri.label, id=uri.key_id)
        public = session.get_key(driver.ObjectClass.PUBLIC_KEY, label=uri.label, id=uri.key_id)
        public_key = load_der_public_key(_encoded(cast("pkcs11.PublicKey", public)))
    except (driver.PKCS11Error, RuntimeError) as fault:
        # The driver's own words may repeat what it was given; its class says enough.
        raise ConfigurationError(
            f"the key's token cannot be used ({type(fault).__name__})",
            where=where,
            remedy="check the module, the token's label, the PIN and the key's name",
        ) from None
    return _of_kind(TokenKey(cast("pkcs11.SignMixin", private), driver), public_key, where)


def _session(token: pkcs11.Token, pin: str, driver: ModuleType) -> pkcs11.Session:
    """Log in. A token knows one login a process (PKCS#11 section 5.6.8); for a second key it is there."""
    try:
        return token.open(user_pin=pin)
    except driver.UserAlreadyLoggedIn:
        return token.open()


def _driver(where: str) -> ModuleType:
    try:
        import pkcs11  # noqa: PLC0415  # an extra
    except ImportError:
        raise ConfigurationError(
            "keys in hardware need a driver that is not installed",
            where=where,
            remedy="pip install 'twoway[hardware]'",
        ) from None
    return pkcs11


def _of_kind(token: TokenKey, public_key: PublicKeyTypes, where: str) -> HardwareKey:
    if isinstance(public_key, ec.EllipticCurvePublicKey) and isinstance(
        public_key.curve, ec.SECP256R1 | ec.SECP384R1
    ):
        return HardwareECKey(token, public_key)
    if isinstance(public_key, rsa.RSAPublicKey) and public_key.key_size == 2048:
        return HardwareRSAKey(token, public_key)
    raise ConfigurationError(
        "the key in the token is none of P-256, P-384 and RSA-2048",
        where=where,
        remedy="make such a key in the token",
    )


def _encoded(public: pkcs11.PublicKey) -> bytes:
    """The public key in DER: SubjectPublicKeyInfo, or for RSA the PKCS #1 form."""
    from pkcs11.util.ec import encode_ec_public_key  # noqa: PLC0415  # an extra
    from pkcs11.util.rsa import encode_rsa_public_key  # noqa: PLC0415

    if public.key_type.name == "EC":
        return bytes(encode_ec_public_key(public))
    return bytes(encode_rsa_public_key(public))


def _digest(data: Buffer, algorithm: object) -> bytes:
    known = _HASHES.get(getattr(algorithm, "name", ""))
    if known is None or isinstance(algorithm, Prehashed):
        raise UnsupportedAlgorithm("a key in a token signs with SHA-256 or SHA-384")
    digest = hashes.Hash(known())
    digest.update(data)
    return digest.finalize()


def _wrong(what: str, where: str) -> ConfigurationError:
    return ConfigurationError(what, where=where, remedy=f"write it as {_SENTENCE}")
