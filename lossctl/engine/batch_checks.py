"""Batches that must be in memory at once, since the loss of each sample depends on the others."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from lossctl.core.loss import Loss
from lossctl.engine.plan import Job
from lossctl.errors import DataError, UsageError
from lossctl.io.dataset import Dataset

# What a coupled loss takes at its peak, as multiples of its inputs in float64: the inputs as they are
# read and as they are laid out, two arrays of their size for what the kernel makes of them, and two
# for the gradient and what leads to it. (infonce at 4,000 × 512: 2.7 times beside what it is given.)
_COPIES = 6
_MEMINFO = Path("/proc/meminfo")


def prove_fits(data: Dataset, jobs: Sequence[Job]) -> None:
    """That the whole batch can be in memory; where its length is not known before it is read, it is tried.

    Raises:
        DataError: it clearly cannot: its inputs take more than a sixth of the memory that is free.
    """
    rows = min((source.rows for source in data.sources if source.rows is not None), default=0)
    roles = {role for job in jobs for role in job.roles}
    needed = _COPIES * rows * sum(8 * math.prod(data.shape(role)) for role in roles)
    free = _free()
    if free is not None and needed > free:
        names = ", ".join(job.loss.name for job in jobs)
        raise DataError(
            f"{names}: {rows:,} samples are one batch, and need {_bytes(needed)} of memory ({_COPIES} times their "
            f"numbers); {_bytes(free)} are free: give it smaller batches"
        )


def prove_unweighted(loss: Loss, data: Dataset, reduction: str) -> None:
    """That nobody asks for the gradient of a weighted mean or sum of losses that share their samples.

    Raises:
        UsageError: such a gradient is not that of each sample times its weight, which is all that kernels give.
    """
    if loss.coupled and "weight" in data.places and reduction != "none":
        raise UsageError(
            f"{loss.name}: samples depend on each other, so the gradient of a weighted {reduction} is not that of each "
            "times its weight: leave out --weight, or say --reduction none"
        )


def _free() -> int | None:
    """Bytes of memory that can be had without swapping; None where the system does not tell."""
    if not _MEMINFO.exists():
        return None
    fields = dict(line.split(":", 1) for line in _MEMINFO.read_text(encoding="ascii").splitlines())
    return int(fields["MemAvailable"].split()[0]) * 1024


def _bytes(n: int) -> str:
    return f"{n / 1e9:,.1f} GB"
