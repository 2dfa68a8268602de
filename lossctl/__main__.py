"""The console script, and ``python -m lossctl``."""

import gc
import os
import sys


def run() -> None:
    """Run the command line, and end the process with its exit code."""
    # A start creates 50,000 objects, and nearly all stay alive. With the default threshold of 700, garbage collection
    # takes a sixth of the start-up time, and as much again at exit, which gc.freeze() prevents
    # (tests/benchmarks/run.py startup: 1.79 × an import of NumPy with both, 1.49 × without).
    gc.set_threshold(100_000, *gc.get_threshold()[1:])
    try:
        from lossctl.cli import process

        process.begin()
        from lossctl.cli.app import main

        code = process.end(main())
    except KeyboardInterrupt as interrupt:  # during the import, or the end
        code = 128 + getattr(interrupt, "number", 2)
    except (MemoryError, OSError, ImportError) as error:  # during the import: little memory, few files
        reason = " ".join(str(error).split()) or "out of memory"
        os.write(2, f"lossctl: cannot start: {reason}\n".encode())
        code = 2
    gc.freeze()
    sys.exit(code)


if __name__ == "__main__":
    run()
