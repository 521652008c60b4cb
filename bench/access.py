"""Everything that is measured of access control, one after the other.

python bench/access.py              # prints; takes some three minutes
python bench/access.py --write      # `make performance`: puts it into docs/performance.md
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from run import PAPER, machine

BEGIN, END = "<!-- access: begin -->", "<!-- access: end -->"
PARTS = {
    "Tickets": ["tickets.py"],
    "Verification at a publisher": ["verification.py"],
    "Decisions": ["decisions.py"],
    "Storage": ["issuing.py"],
}


def main() -> None:
    described = "\n".join(
        f"- {name}: {value}" for name, value in machine().items() if name not in ("pyOpenSSL", "DTLSSocket")
    )
    pieces = [described]
    for title, command in PARTS.items():
        print(f"{title} ...", file=sys.stderr, flush=True)
        script = Path(__file__).with_name(command[0])
        done = subprocess.run(
            [sys.executable, str(script), *command[1:]], stdout=subprocess.PIPE, text=True, check=True
        )
        pieces.append(f"### {title}\n\n{done.stdout.strip()}")
    text = "\n\n".join(pieces)
    print(text)
    if "--write" in sys.argv[1:]:
        before, _, rest = PAPER.read_text().partition(BEGIN)
        PAPER.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{rest.partition(END)[2]}")


if __name__ == "__main__":
    main()
