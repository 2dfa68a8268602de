"""The console script, and ``python -m lossctl``."""

import gc
import sys


def run() -> None:
    """Run the command line, and end the process with its exit code."""
    # A start creates 50,000 objects, and nearly all stay alive. With the default threshold of 700, garbage collection
    # takes a sixth of the start-up time, and as much again at exit, which gc.freeze() prevents
    # (tests/benchmarks/run.py startup: 1.79 × an import of NumPy with both, 1.49 × without).
    gc.set_threshold(100_000, *gc.get_threshold()[1:])
    try:
        from lossctl.cli.app import main

        code = main()
    except KeyboardInterrupt:  # Ctrl-C during the import
        code = 130
    gc.freeze()
    sys.exit(code)


if __name__ == "__main__":
    run()
