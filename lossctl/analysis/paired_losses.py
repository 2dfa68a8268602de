"""The losses of several models on the same samples, block by block, on disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from lossctl.analysis.input_profile import InputProfile, profile_block
from lossctl.analysis.per_sample import Index, SelectedSamples, per_sample_losses, select_samples, top_k
from lossctl.core.arrays import Array
from lossctl.engine.block import Block
from lossctl.engine.evaluate import CommonUnit, evaluate_block, scaled_weights
from lossctl.engine.plan import LossPlan
from lossctl.immutable import immutable
from lossctl.io.spool import Spool


@immutable
class ModelLosses:
    """The samples of a block that count for one model.

    Attributes:
        samples: the samples with their losses and inputs.
        exponent: their parts and shares are in units of 2**exponent.
        elements: (samples,) number of elements of each sample that count.
        plain: whether each sample has one element and a share of 1, so that its loss is its part of the sum.
        weighed: whether samples have weights.
        rows: number of rows of the block.
        profile: the profile of the inputs.
    """

    samples: SelectedSamples
    exponent: int
    elements: Array
    plain: bool
    weighed: bool
    rows: int
    profile: InputProfile

    def of_group(self, column: int, label: float | str) -> ModelLosses:
        """Return the samples in whose further column ``column`` the label stands."""
        inside = np.flatnonzero(self.samples.shown[column] == label)
        return replace(self, samples=self.samples.take(inside), elements=self.elements[inside])


@immutable
class PairedMapper:
    """Compute the per-sample losses of one model on one block."""

    shown: tuple[str, ...]

    def __call__(self, block: Block, plan: LossPlan) -> ModelLosses:
        evaluated, exponent = scaled_weights(evaluate_block(block, plan), block.options)
        samples = per_sample_losses(plan, evaluated)
        every = np.arange(len(samples))
        weighed = evaluated.elements.weights is not None
        chosen = select_samples(block, plan, samples, every, self.shown)
        chosen = replace(chosen, weight=np.ldexp(chosen.weight, exponent))
        return ModelLosses(
            chosen, exponent, samples.elements, samples.plain, weighed, block.count, profile_block(block, plan)
        )


@dataclass
class PairedAccumulator:
    """Accumulated samples of all models under one loss.

    A record of the spool has the part of the sum of each model. Unless the samples are plain, the share of the
    denominator of each model and the loss of each model follow. If there are clusters, the number of the cluster is
    last.

    Attributes:
        cluster: index of the further column whose values are clusters; None if samples are independent.
    """

    cluster: int | None = None
    spool: Spool = field(default_factory=Spool)
    plain: bool = True
    rows: int = 0
    counted: int = 0
    weighed: bool = False
    most_different: tuple[SelectedSamples, ...] = ()
    profiles: tuple[InputProfile, ...] = ()
    unit: CommonUnit = field(default_factory=CommonUnit)
    numbers: dict[float | str, int] = field(default_factory=dict)

    def add(self, model_losses: Sequence[ModelLosses], top: int) -> None:
        """Add one block; ``top`` is the number of most different samples to keep."""
        self.rows += model_losses[0].rows
        new = tuple(p.profile for p in model_losses)
        self.profiles = tuple(a + b for a, b in zip(self.profiles, new, strict=True)) if self.profiles else new
        self.counted += _together([p.samples.rows for p in model_losses])
        self.weighed |= model_losses[0].weighed
        convert, exponent = self.unit.convert, model_losses[0].exponent
        chosen = [
            replace(samples, part=convert(samples.part, exponent), share=convert(samples.share, exponent))
            for samples in _in_common(model_losses)
        ]
        self.plain &= all(p.plain for p in model_losses)
        columns = [c.part for c in chosen]
        if not self.plain:
            columns += [*(np.array(c.share) for c in chosen), *(c.loss for c in chosen)]
        if self.cluster is not None:
            columns.append(self._numbered(chosen[0].shown[self.cluster]))
        self.spool.write(*columns)
        together = [a + b for a, b in zip(self.most_different, chosen, strict=True)] if self.most_different else chosen
        order = top_k(_range_of_models([c.part for c in together]), top, least=False)
        self.most_different = tuple(c.take(order) for c in together)

    def _numbered(self, labels: npt.NDArray[Any]) -> Array:
        """Return the number of the cluster of each sample, in the order in which clusters are first seen."""
        names, index = np.unique(labels, return_inverse=True)
        numbers = [self.numbers.setdefault(name, len(self.numbers)) for name in names.tolist()]
        return np.array(numbers, np.float64)[index]


def _together(rows: Sequence[Index]) -> int:
    """Count the rows that count for at least one model; nearly always the same for all models, which needs no sort."""
    first = rows[0]
    if all(np.array_equal(other, first) for other in rows[1:]):
        return len(first)
    return len(np.unique(np.concatenate(rows)))


def _in_common(model_losses: Sequence[ModelLosses]) -> list[SelectedSamples]:
    """Return, for each model, the samples that count with the same number of elements for every model."""
    first = model_losses[0]
    if all(np.array_equal(p.samples.rows, first.samples.rows) for p in model_losses) and all(
        np.array_equal(p.elements, first.elements) for p in model_losses
    ):
        return [p.samples for p in model_losses]
    keys = [[*zip(p.samples.rows.tolist(), p.elements.tolist(), strict=True)] for p in model_losses]
    common = set.intersection(*map(set, keys))
    return [
        p.samples.take(np.flatnonzero([key in common for key in of_model]))
        for p, of_model in zip(model_losses, keys, strict=True)
    ]


def _range_of_models(parts: Sequence[Array]) -> Array:
    """Return the range of the models' parts on each sample; 0 where all are the same infinity."""
    with np.errstate(invalid="ignore"):
        gap = np.maximum.reduce(parts) - np.minimum.reduce(parts)
    return np.where(np.isnan(gap) & np.logical_and.reduce([p == parts[0] for p in parts]), 0.0, gap)
