"""The console script, and ``python -m lossctl``."""

import gc
import sys


def run() -> None:
    """Run the command line as a process, and end it."""
    # A start makes 50,000 objects, nearly all of which stay: with Python's own threshold of 700 a sixth of
    # it goes into looking for garbage among them, and as much again when the interpreter takes itself down
    # (tests/benchmarks/run.py startup: 1.79 × an import of NumPy with both, 1.49 × without).
    gc.set_threshold(100_000, *gc.get_threshold()[1:])
    try:
        from lossctl.cli.app import main

        code = main()
    except KeyboardInterrupt:  # while it is imported
        code = 130
    gc.freeze()
    sys.exit(code)


if __name__ == "__main__":
    run()
