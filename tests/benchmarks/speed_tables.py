"""All of README's speed tables, one after the other, with the processor and the machine's load before and after each.

    python tests/benchmarks/speed_tables.py

It takes about three minutes.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from peers import conditions, load

TABLES = ("forward.py --turns 11", "training.py --turns 7 --no-compile", "pixels.py", "ranker.py --repeats 1")


def main() -> None:
    for table in TABLES:
        name, *options = table.split()
        print(f"\n{table}\nBefore: {conditions(2)}", flush=True)
        subprocess.run([sys.executable, Path(__file__).with_name(name), *options], check=True)
        print(f"After: {load()}", flush=True)


if __name__ == "__main__":
    main()
