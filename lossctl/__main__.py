"""The console script, and ``python -m lossctl``."""

import gc
import os
import resource
import sys

# Kilobytes of address space that NumPy and SciPy need: with less their OpenBLAS ends the process by itself, with exit
# code 1 (below 110,000), or never (at 150,000, in SciPy).
_ADDRESS_SPACE = 262_144


def run() -> None:
    """Run the command line, and end the process with its exit code."""
    # A start creates 50,000 objects, and nearly all stay alive. With the default threshold of 700, garbage collection
    # takes a sixth of the start-up time, and as much again at exit, which gc.freeze() prevents
    # (tests/benchmarks/run.py startup: 1.79 × an import of NumPy with both, 1.49 × without).
    gc.set_threshold(100_000, *gc.get_threshold()[1:])
    try:
        _require_address_space()
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


def _require_address_space() -> None:
    """Raise MemoryError if ``ulimit -v`` leaves too little for NumPy."""
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit != resource.RLIM_INFINITY and limit < _ADDRESS_SPACE * 1024:
        raise MemoryError(
            f"NumPy and SciPy need {_ADDRESS_SPACE:,} kB of address space, and ulimit -v is {limit // 1024:,}"
        )


if __name__ == "__main__":
    run()
