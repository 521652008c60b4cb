"""Mbed TLS as a peer, through MicroPython's `tls` module: one handshake, one exchange, one end.

MicroPython runs this file, not Python:

    micropython mbedtls.py client PORT key=value...
    micropython mbedtls.py server PORT key=value...

    suite=NAME       one of Mbed TLS's names for a cipher suite; all that it has by default
    cert=FILE        our certificate in DER; the module takes one certificate, not a chain
    key=FILE         its private key in DER
    ca=FILE          the authority that we trust, in DER
    identity=TEXT    a name of a pre-shared key
    psk=HEX          that key

A client says hello and prints what comes back; a server sends back what it gets. It prints what was
negotiated in lines of the form `word: value`, and an error of Mbed TLS as `failed: ...`.
"""

import socket
import sys
import time

import tls

PATIENCE_MS = 15000
MSG_PEEK = 2  # The socket module does not name it.


def read(path):
    with open(path, "rb") as file:
        return file.read()


def context(role, options):
    made = tls.SSLContext(tls.PROTOCOL_DTLS_SERVER if role == "server" else tls.PROTOCOL_DTLS_CLIENT)
    if "suite" in options:
        made.set_ciphers([options["suite"]])
    if "cert" in options:
        made.load_cert_chain(read(options["cert"]), read(options["key"]))
    if "ca" in options:
        made.verify_mode = tls.CERT_REQUIRED
        made.load_verify_locations(read(options["ca"]))
    else:
        made.verify_mode = tls.CERT_NONE
    if "psk" in options:
        key = bytes.fromhex(options["psk"])
        if role == "server":
            made.server_psk_keys = {options["identity"].encode(): key}
        else:
            made.psk_identity, made.psk_key = options["identity"], key
    return made


def wrapped(made, sock, role):
    """Shake hands; a server does so twice, because its first answer to a stranger asks for a cookie."""
    if role == "client":
        return made.wrap_socket(sock, server_hostname="localhost")
    try:
        return made.wrap_socket(sock, server_side=True, client_id=b"client")
    except OSError as error:
        if "HELLO_VERIFY_REQUIRED" not in str(error):
            raise
        print("cookie: asked for")
        return made.wrap_socket(sock, server_side=True, client_id=b"client")


def received(secured):
    until = time.ticks_add(time.ticks_ms(), PATIENCE_MS)
    while time.ticks_diff(until, time.ticks_ms()) > 0:
        data = secured.read(1024)
        if data is not None:
            return data
        time.sleep_ms(5)
    raise OSError("nothing came")


def main(role, port, *pairs):
    options = dict(pair.split("=", 1) for pair in pairs)
    made = context(role, options)
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    address = socket.getaddrinfo("127.0.0.1", int(port))[0][-1]
    if role == "server":
        sock.bind(address)
        print("listening")
        # The module reads and writes a connected socket: look who says hello, and leave the hello there.
        _, client = sock.recvfrom(1, MSG_PEEK)
        sock.connect(client)
    else:
        sock.connect(address)
    secured = wrapped(made, sock, role)
    print("version:", tls.MBEDTLS_VERSION)
    print("suite:", secured.cipher()[0])
    secured.setblocking(False)
    if role == "client":
        secured.write(b"hello\n")
    data = received(secured)
    print("received:", data)
    if role == "server":
        secured.write(b"echo: " + data)
        print("then:", received(secured))
    secured.close()
    sock.close()


try:
    main(*sys.argv[1:])
except (OSError, ValueError) as error:
    print("failed:", error)
    sys.exit(1)
