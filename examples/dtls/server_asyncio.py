"""Answer what comes over DTLS, by name: python server_asyncio.py PORT CERTIFICATE KEY AUTHORITY"""

import asyncio
import sys
from pathlib import Path

import twoway
from twoway.dtls import CertificateCredential, DTLSConfig
from twoway.net import Connection
from twoway.pki import TrustStore

port, *files = sys.argv[1:]
chain, key, authority = (Path(file).read_bytes() for file in files)
config = DTLSConfig(
    certificate=CertificateCredential.from_pem(chain, key), trust=TrustStore.from_pem(authority)
)


async def greet(connection: Connection) -> None:
    async for data in connection:
        connection.send(data + f", {connection.peer}".encode())


async def main() -> None:
    async with twoway.serve(greet, config, host="127.0.0.1", port=int(port)) as server:
        print("serving on port", server.address[1], flush=True)
        await server.serve_forever()


asyncio.run(main())
