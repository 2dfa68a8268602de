"""Whether a batch whose samples depend on each other fits in memory."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from lossctl.engine.plan import LossPlan
from lossctl.errors import DataError
from lossctl.io.dataset import Dataset
from lossctl.io.source import SeekableSource

# Peak memory of a batch-coupled loss, as a multiple of its inputs in float64: the inputs as read and in the memory
# order of the kernel (2), temporaries of the kernel (2), the gradient and its temporaries (2).
# Measured: infonce at 4,000 × 512 takes 2.7 times its inputs, in addition to the inputs.
_COPIES = 6

_MEMINFO = Path("/proc/meminfo")


def check_fits_in_memory(data: Dataset, plans: Sequence[LossPlan]) -> None:
    """Check that the whole batch fits in memory.

    If the number of rows is not known before they are read, or the system does not report its free memory, the
    check passes.

    Raises:
        DataError: the inputs take more than a sixth of the free memory.
    """
    rows = min((source.rows for source in data.sources if isinstance(source, SeekableSource)), default=0)
    roles = {role for plan in plans for role in plan.roles}
    needed = _COPIES * rows * sum(8 * math.prod(data.raw_row_shape(role)) for role in roles if role in data.places)
    free = _free()
    if free is not None and needed > free:
        names = ", ".join(plan.loss.name for plan in plans)
        raise DataError(
            f"{names}: {rows:,} samples are one batch, and need {_bytes(needed)} of memory ({_COPIES} times their "
            f"numbers); {_bytes(free)} are free: give it smaller batches"
        )


def _free() -> int | None:
    """Return the bytes of memory available without swapping; None if the system does not report them."""
    if not _MEMINFO.exists():
        return None
    fields = dict(line.split(":", 1) for line in _MEMINFO.read_text(encoding="ascii").splitlines())
    return int(fields["MemAvailable"].split()[0]) * 1024


def _bytes(n: int) -> str:
    return f"{n / 1e9:,.1f} GB"
