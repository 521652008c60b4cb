"""Fuzz one target with atheris, guided by what the engine's code reaches.

    python tests/fuzz/run.py datagrams --seconds 60 --corpus build/fuzz/datagrams

Ends with status 0 if nothing was found; an input that breaks a promise is written beside the corpus.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
with atheris.instrument_imports(include=["twoway.dtls"]):
    from targets import TARGETS, seeds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("target", choices=sorted(TARGETS))
    parser.add_argument("--seconds", type=int, default=60, help="how long  [60]")
    parser.add_argument("--corpus", type=Path, help="inputs found so far; kept for the next run")
    options = parser.parse_args()
    corpus = options.corpus or Path("build") / "fuzz" / options.target
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds(options.target)):
        (corpus / f"seed-{number}").write_bytes(seed)
    arguments = [
        sys.argv[0],
        str(corpus),
        f"-max_total_time={options.seconds}",
        "-max_len=4096",
        "-timeout=20",
        f"-artifact_prefix={corpus.parent}/{options.target}-",
        "-print_final_stats=1",
    ]
    atheris.Setup(arguments, TARGETS[options.target])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
