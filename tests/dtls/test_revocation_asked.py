"""Revocation: the caller is asked in every handshake, and who cannot be asked lets nobody in."""

from __future__ import annotations

from dataclasses import replace

import pytest
from dtls_cases import assert_refused, run
from dtls_pair import PSK_NAME, Pair, client_config, psk_client_config, psk_server_config, server_config
from dtls_worlds import (
    ANONYMOUS_ALONE,
    one_sided_client,
    one_sided_server,
    raw_key_configs,
    rsa_transport_configs,
)
from small_pki import small_pki

from twoway.dtls import AlertDescription
from twoway.identity import PSKIdentity, RawPublicKeyIdentity

REVOKED = AlertDescription.CERTIFICATE_REVOKED
PKI = small_pki()
CONFIGS = {
    "certificates": (client_config(), server_config()),
    "raw keys": raw_key_configs(),
    "key transport": rsa_transport_configs(),
}


def failing(identity):
    raise RuntimeError("the list cannot be read")


def forgetting(identity):
    """Looks it up and forgets to say what it found."""


def noting(asked):
    """Notes who was asked about, and says that nobody was revoked."""

    def is_revoked(identity):
        asked.append(identity)
        return False

    return is_revoked


ANSWERS = [lambda identity: True, failing, forgetting, lambda identity: 0]
ANSWER_NAMES = ["revoked", "cannot be asked", "says nothing", "says another thing"]


@pytest.mark.parametrize("answer", ANSWERS, ids=ANSWER_NAMES)
@pytest.mark.parametrize("configs", CONFIGS.values(), ids=CONFIGS)
def test_a_revoked_peer_is_refused_by_both_roles(configs, answer):
    client, server = configs
    pair = run(Pair(client, replace(server, is_revoked=answer)))
    assert_refused(pair, by="server", alert=REVOKED, why="was revoked")
    pair = run(Pair(replace(client, is_revoked=answer), server))
    assert_refused(pair, by="client", alert=REVOKED, why="was revoked")


def test_the_question_names_the_peer_once():
    for (client, server), (client_peer, server_peer) in (
        (CONFIGS["certificates"], (PKI.publisher_p256.identity, PKI.subscriber.identity)),
        (
            CONFIGS["raw keys"],
            (RawPublicKeyIdentity(PKI.publisher_p256.spki), RawPublicKeyIdentity(PKI.subscriber.spki)),
        ),
        ((psk_client_config(), psk_server_config()), (PSKIdentity(PSK_NAME), PSKIdentity(PSK_NAME))),
    ):
        asked = {"client": [], "server": []}
        Pair(
            replace(client, is_revoked=noting(asked["client"])),
            replace(server, is_revoked=noting(asked["server"])),
        ).connect()
        assert asked == {"client": [client_peer], "server": [server_peer]}


@pytest.mark.parametrize("answer", ANSWERS, ids=ANSWER_NAMES)
def test_a_client_does_not_use_a_revoked_pre_shared_key(answer):
    """Cause: a client asked about certificates alone. Whoever got hold of a revoked key could play the
    server."""
    for suites in (psk_client_config().suites, psk_client_config().usable_suites(is_client=True)[-1:]):
        client = psk_client_config(is_revoked=answer, suites=suites)
        pair = run(Pair(client, psk_server_config()))
        assert_refused(pair, by="client", alert=AlertDescription.ACCESS_DENIED, why="key was revoked")


@pytest.mark.parametrize("answer", ANSWERS, ids=ANSWER_NAMES)
def test_a_revoked_pre_shared_key_looks_like_an_unknown_one_to_the_peer(answer):
    def view(client, server):
        pair = run(Pair(client, server))
        assert_refused(pair, by="server", alert=AlertDescription.DECRYPT_ERROR, why="pre-shared key")
        seen = [
            (sent.to_server, [(record.type, record.epoch, len(record.fragment)) for record in sent.records])
            for sent in pair.sent
        ]
        return seen, pair.client.closed, pair.now

    unknown = view(psk_client_config(name=b"sensor-8"), psk_server_config())
    assert view(psk_client_config(), psk_server_config(is_revoked=answer)) == unknown


def test_nobody_is_asked_about_nobody():
    """Who has proved nothing cannot be revoked; the side that proves something is asked about."""
    asked = []
    is_revoked = noting(asked)
    Pair(
        replace(ANONYMOUS_ALONE, is_revoked=is_revoked), replace(ANONYMOUS_ALONE, is_revoked=is_revoked)
    ).connect()
    Pair(one_sided_client(), one_sided_server(is_revoked=is_revoked)).connect()
    assert asked == []
    Pair(one_sided_client(is_revoked=is_revoked), one_sided_server()).connect()
    assert asked == [PKI.publisher_p256.identity]


def test_a_revoked_peer_is_told_apart_from_the_others():
    revoked = PKI.outsider.identity.uri
    server = server_config(is_revoked=lambda identity: identity.uri == revoked)
    assert Pair(client_config(), server).connect().works()
    server = server_config(is_revoked=lambda identity: identity.uri == PKI.subscriber.uri)
    assert_refused(run(Pair(client_config(), server)), by="server", alert=REVOKED, why=PKI.subscriber.uri)
