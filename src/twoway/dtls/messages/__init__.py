"""Handshake messages as values: one module a family, each with its layout from the RFC.

``parse_untrusted`` takes a body from the network and raises only ``HandshakeFailure``; ``encode``
writes the same bytes again.
"""
