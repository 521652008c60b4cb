"""Say hello over DTLS and print the answer: python client_asyncio.py HOST PORT CERTIFICATE KEY AUTHORITY"""

import asyncio
import sys
from pathlib import Path

import twoway
from twoway.dtls import CertificateCredential, DTLSConfig
from twoway.pki import TrustStore

host, port, *files = sys.argv[1:]
chain, key, authority = (Path(file).read_bytes() for file in files)
config = DTLSConfig(
    certificate=CertificateCredential.from_pem(chain, key), trust=TrustStore.from_pem(authority)
)


async def main() -> None:
    async with await twoway.connect(host, int(port), config) as connection:
        print(f"{connection.kind.value} with {connection.peer}: {connection.suite}")
        connection.send(b"hello")
        print((await connection.receive()).decode())


asyncio.run(main())
