"""The key schedule against published vectors: PRF, extended master secret, key block, pre-shared keys."""

from __future__ import annotations

import functools
import hashlib
import hmac

import pytest
from cryptography.hazmat.primitives.hashes import SHA256, SHA384
from dtls_cases import KINDS, pair_of
from dtls_pair import Pair

from twoway.dtls import keys, suites
from twoway.dtls.messages.handshake import HandshakeMessage, HandshakeType, parse_fragments_untrusted
from twoway.dtls.record import ContentType

PRF_OUTPUT = bytes.fromhex(
    "e3f229ba727be17b8d122620557cd453c2aab21d07c3d495329b52d4e61edb5a"
    "6b301791e90d35c9c9a46b4e14baf9af0fa022f7077def17abfd3797c0564bab"
    "4fbc91666e9def9b97fce34f796789baa48082d122ee42c5a72e5a5110fff701"
    "87347b66"
)
"""The P_SHA256 vector of the TLS working group's list (secret 9bbe..., label "test label")."""

PRF_384_OUTPUT = bytes.fromhex(
    "7b0c18e9ced410ed1804f2cfa34a336a1c14dffb4900bb5fd7942107e81c83cd"
    "e9ca0faa60be9fe34f82b1233c9146a0e534cb400fed2700884f9dc236f80edd"
    "8bfa961144c9e8d792eca722a7b32fc3d416d473ebc2c5fd4abfdad05d918425"
    "9b5bf8cd4d90fa0d31e2dec479e4f1a26066f2eea9a69236a3e52655c9e9aee6"
    "91c8f3a26854308d5eaa3be85e0990703d73e56f"
)
"""The P_SHA384 vector of the same list (secret b80b..., label "test label")."""

EXTENDED_MASTER_SECRETS = [  # NIST ACVP, TLS-v1.2-KDF-RFC7627, SHA2-256, test cases 1 and 2
    {
        "premaster": "8252b983a6459a6fb3b9debe8725247e276139ebf7c9adccdd7d240f3ada7f5e"
        "3351b2769b6c8dc169a6d799c3c0ffeb",
        "session_hash": "1359d7df74cb27c67f74c98d521d442b887eaf0decf6e382c62434d6c3dd7d0d",
        "client_random": "abe7af69affc5e0944f4009b3e7abd1cc0a5cce8db055eff4a509e5b6de9475a",
        "server_random": "50e0a1a1fd64a55259781a5c22580a81f99799c32f52d3f48d2c10c5c692e289",
        "master": "43a5e821fcf5446c712207f7cd161ed213ee3b9d001d418c57231befd596b583"
        "ecd55ab2c4456b02738698f90bc59ac0",
        "key_block": "4886e75be82dd4fb73c540729072d3e29b93c164e1cffe071f1212b1237b98dc0b0a5895f331f718",
    },
    {
        "premaster": "cbf55e41501394407612d1ec385104fa1a8e59eb00832eccbd0b92c2404af47e"
        "7171eaec467f04e06f8dcae0add1bbee",
        "session_hash": "6d7cbb7e2dffd4e1ad853998e74c647586838c47b1e113af5b58586d66a26a4d",
        "client_random": "f4dd2b599984f5e514320d12dcda8d11b32e61efd888f5aba1ad28b780b2b739",
        "server_random": "804814a3c29b9d842b5aa0e1f11c4ba580bdacb0a33caab74ccf02da90787397",
        "master": "89902a83be5fe73e31a5dfe1f631effccb490326f2781e9983b5695e728f10f9"
        "ea12f659b62dbe98886959aec0833092",
        "key_block": "b0bf5c1f8582fadd3356a1a2d68c438aa17689401a95d5e7564e9743637c2bcd1ae29fc67b553b4a",
    },
]
"""The vectors' own key block is longer; its first 40 bytes are what AES-128 with a 4-byte IV takes."""


@pytest.mark.parametrize("length", [0, 1, 12, 31, 32, 33, 48, 64, 99, 100])
def test_the_prf_gives_the_published_output_cut_to_any_length(length):
    secret = bytes.fromhex("9bbe436ba940f017b17652849a71db35")
    seed = bytes.fromhex("a0ba9f936cda311827a6f796ffd5198c")
    assert keys.prf(SHA256, secret, b"test label", seed, length) == PRF_OUTPUT[:length]


@pytest.mark.parametrize("length", [0, 1, 12, 47, 48, 49, 96, 97, 148])
def test_the_prf_of_sha_384_gives_the_published_output_cut_to_any_length(length):
    secret = bytes.fromhex("b80b733d6ceefcdc71566ea48e5567df")
    seed = bytes.fromhex("cd665cf6a8447dd6ff8b27555edb7465")
    assert keys.prf(SHA384, secret, b"test label", seed, length) == PRF_384_OUTPUT[:length]


@pytest.mark.parametrize("vector", EXTENDED_MASTER_SECRETS)
def test_the_extended_master_secret_and_key_block_are_those_of_nist(vector):
    vector = {name: bytes.fromhex(value) for name, value in vector.items()}
    master = keys.extended_master_secret(SHA256, vector["premaster"], vector["session_hash"])
    assert master == vector["master"]
    suite = suites.PSK_AES_128_GCM
    client, server = keys.key_block(suite, master, vector["client_random"], vector["server_random"])
    assert client.key + server.key + client.iv + server.iv == vector["key_block"]
    assert client.mac_key == server.mac_key == b""


EVERY_SUITE = [value for value in vars(suites).values() if isinstance(value, suites.CipherSuite)]


@pytest.mark.parametrize("suite", EVERY_SUITE, ids=lambda suite: suite.name)
def test_the_key_block_is_cut_in_the_order_of_the_rfc(suite):
    """RFC 5246 section 6.3: MAC keys, keys, IVs, each the client's first, as long as the suite needs them."""
    sizes = [suite.mac_key_bytes, suite.key_bytes, suite.fixed_iv_bytes]
    block = keys.prf(suite.prf_hash, b"m" * 48, b"key expansion", b"s" * 32 + b"c" * 32, 2 * sum(sizes))
    client, server = keys.key_block(suite, b"m" * 48, b"c" * 32, b"s" * 32)
    assert [len(part) for part in client] == [len(part) for part in server] == sizes
    assert b"".join((client[0], server[0], client[1], server[1], client[2], server[2])) == block


def test_the_plain_master_secret_binds_the_randoms_in_the_order_of_the_rfc():
    premaster, client, server = b"p" * 32, b"c" * 32, b"s" * 32
    expected = keys.prf(SHA256, premaster, b"master secret", client + server, 48)
    assert keys.master_secret(SHA256, premaster, client, server) == expected
    assert keys.master_secret(SHA256, premaster, server, client) != expected


@pytest.mark.parametrize(("prf_hash", "name"), [(SHA256, "sha256"), (SHA384, "sha384")])
@pytest.mark.parametrize(("of_client", "label"), [(True, b"client finished"), (False, b"server finished")])
def test_finished_is_twelve_bytes_under_the_label_of_its_side(of_client, label, prf_hash, name):
    master, digest = b"m" * 48, hashlib.new(name, b"messages").digest()
    a1 = hmac.digest(master, label + digest, name)
    expected = hmac.digest(master, a1 + label + digest, name)[:12]
    assert keys.handshake_hash(prf_hash, b"messages") == digest
    assert keys.verify_data(prf_hash, master, of_client=of_client, handshake_hash=digest) == expected


@pytest.mark.parametrize("key", [b"k", b"0123456789abcdef", b"x" * 64])
def test_a_shared_key_becomes_zeros_and_the_key_each_with_its_length(key):
    length = len(key).to_bytes(2, "big")
    assert keys.psk_premaster(key) == length + b"\x00" * len(key) + length + key


def test_with_an_exchange_its_secret_stands_in_place_of_the_zeros():
    """RFC 5489 section 2."""
    assert keys.psk_premaster(b"key", b"shared point") == b"\x00\x0cshared point\x00\x03key"


# --- what a handshake feeds into it -----------------------------------------------------------------------


def messages_on_the_wire(pair: Pair) -> list[bytes]:
    """The unprotected handshake messages from the hello with the cookie on, in the order of their sending."""
    fragments = [
        fragment
        for sent in pair.sent[2:]
        for record in sent.records
        if record.type == ContentType.HANDSHAKE and record.epoch == 0
        for fragment in parse_fragments_untrusted(record.fragment)
    ]
    assert all(fragment.is_whole for fragment in fragments)
    return [HandshakeMessage(one.type, one.message_seq, one.data).encode() for one in fragments]


@pytest.fixture
def calls(monkeypatch):
    """Every call of the key schedule's functions, with what it returned."""
    seen = []

    def spy(name, original, *args, **named):
        result = original(*args, **named)
        seen.append((name, (*args, *named.values()), result))
        return result

    for name in ("extended_master_secret", "master_secret", "key_block", "verify_data"):
        monkeypatch.setattr(keys, name, functools.partial(spy, name, getattr(keys, name)))
    return seen


@pytest.mark.parametrize("kind", KINDS)
def test_the_master_secret_is_bound_to_all_messages_up_to_client_key_exchange(kind, calls):
    """RFC 7627 section 3: without CertificateVerify, which comes after it."""
    pair = pair_of(kind, mtu_bytes=8000).connect()
    messages = messages_on_the_wire(pair)
    last = next(at for at, message in enumerate(messages) if message[0] == HandshakeType.CLIENT_KEY_EXCHANGE)
    session_hash = hashlib.sha256(b"".join(messages[: last + 1])).digest()
    derived = [args for name, args, _ in calls if name == "extended_master_secret"]
    assert [args[2] for args in derived] == [session_hash, session_hash]
    assert derived[0][1] == derived[1][1], "both sides have the same premaster secret"
    assert not [name for name, _, _ in calls if name == "master_secret"]


@pytest.mark.parametrize("kind", KINDS)
def test_finished_covers_all_messages_before_it(kind, calls):
    pair = pair_of(kind, mtu_bytes=8000).connect()
    transcript = b"".join(messages_on_the_wire(pair))
    said = [(args[2], args[3], result) for name, args, result in calls if name == "verify_data"]
    by_client = [(digest, result) for of_client, digest, result in said if of_client]
    by_server = [(digest, result) for of_client, digest, result in said if not of_client]
    assert by_client[0] == by_client[1]
    assert by_client[0][0] == hashlib.sha256(transcript).digest()
    assert by_server[0] == by_server[1]
    assert by_server[0][0] != by_client[0][0], "the server's Finished covers the client's"


def test_each_direction_and_each_handshake_has_keys_of_its_own(calls):
    for seed in (1, 2):
        pair_of("psk", seed=seed).connect()
    blocks = [result for name, _, result in calls if name == "key_block"]
    assert blocks[0] == blocks[1], "both sides of one handshake"
    assert blocks[2] == blocks[3]
    secrets = {block.client.key for block in blocks} | {block.server.key for block in blocks}
    assert len(secrets) == 4
