"""Break a real ledger at random for some minutes, and see whether every promise held.

python -m tests.faults --minutes 20 --seed 7

It starts a Kafka and a Redis of its own, workers and a sender, and ends them; nothing but loopback is used. What is
broken, and when, is printed. Exit codes: 0 all promises held, 1 one did not (the logs are kept), 69 a part is missing.
"""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from streams.embedded.children import Register
from tests.faults.nemesis import Nemesis
from tests.parts import NotHere


def main() -> int:
    """As the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--seed", type=int, default=0)
    wanted = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="quota-faults-"))
    register = Register(folder / "pids")
    register.open_guard()
    try:
        nemesis = Nemesis(folder, register, seed=wanted.seed, say=lambda what: print(what, flush=True), expiries=True)
        try:
            wrong = nemesis.run(60 * wanted.minutes)
        finally:
            nemesis.close()
    except NotHere as missing:
        print(missing, file=sys.stderr)
        return 69
    finally:
        register.close_guard()
    if wrong:
        print(*wrong[:50], sep="\n")
        print(f"seed {wanted.seed}: {len(wrong)} things are not as they must be; logs are in {folder}")
        return 1
    print(f"seed {wanted.seed}: every promise held")
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
