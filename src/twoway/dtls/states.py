"""The states of a handshake, in protocol order (RFC 6347 section 4.2.4 figure 1)."""

from __future__ import annotations

from enum import Enum


class ClientState(Enum):
    """What a client waits for."""

    START = "start"
    SERVER_HELLO = "ServerHello or HelloVerifyRequest"
    CERTIFICATE = "Certificate"
    SERVER_KEY_EXCHANGE = "ServerKeyExchange"
    CERTIFICATE_REQUEST_OR_DONE = "CertificateRequest or ServerHelloDone"
    PSK_HINT_OR_DONE = "ServerKeyExchange or ServerHelloDone"
    SERVER_HELLO_DONE = "ServerHelloDone"
    SIGNATURE = "its own signature"
    NEW_SESSION_TICKET = "NewSessionTicket"
    CHANGE_CIPHER_SPEC = "ChangeCipherSpec"
    FINISHED = "Finished"
    CONNECTED = "connected"


class ServerState(Enum):
    """What a server waits for."""

    START = "start"
    SIGNATURE = "its own signature"
    CERTIFICATE = "Certificate"
    CLIENT_KEY_EXCHANGE = "ClientKeyExchange"
    DECRYPTION = "its own decryption"
    CERTIFICATE_VERIFY = "CertificateVerify"
    CHANGE_CIPHER_SPEC = "ChangeCipherSpec"
    FINISHED = "Finished"
    CONNECTED = "connected"


State = ClientState | ServerState
