"""Two-way authentication for the Internet of Things.

Every party proves who it is in a DTLS handshake, an access control server (AC) issues tickets by
policy, and publishers verify identity and ticket by themselves before they hand out a reading.
"""
