"""Paired comparison of several models on the same samples, with intervals and significance tests."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import field

import numpy as np

from lossctl.analysis.inference import (
    FEW,
    Records,
    bootstrap_intervals,
    detectable_difference,
    estimate_mean,
    mcnemar_pvalue,
    moments,
    standard_error,
    t_interval,
    t_test_pvalue,
    wilcoxon_pvalue,
)
from lossctl.analysis.input_profile import InputProfile
from lossctl.analysis.paired_losses import ModelLosses, PairedAccumulator, PairedMapper
from lossctl.analysis.per_sample import SelectedSamples
from lossctl.core.loss import Loss
from lossctl.engine.executors.base import Executor
from lossctl.engine.executors.config import ExecutionConfig
from lossctl.engine.executors.threads import Threads
from lossctl.engine.options import ComputeOptions
from lossctl.engine.plan import LossPlan, plan_loss
from lossctl.engine.run import map_blocks
from lossctl.errors import DataError
from lossctl.immutable import immutable
from lossctl.io.dataset import Dataset

# A bootstrap of every group takes its time, and a screen holds few.
_GROUPS = 1_000


@immutable
class Score:
    """The loss of one model, and the fraction of samples on which it alone has the smallest loss (``wins``)."""

    value: float
    std_error: float | None
    wins: float


@immutable
class Difference:
    """The loss of a model minus the loss of the first model; positive if the model is worse.

    Attributes:
        value: the difference of the losses.
        std_error: standard error of ``value``, from the variance of the paired per-sample differences.
        low, high: bounds of the 95 % interval of ``value``: of the bootstrap, or, for clusters and below 20 samples, of
            Student's t.
        detectable: the smallest true difference that the t test is likely to find, with 80 % power at 5 %.
        freedom: effective degrees of freedom of ``std_error``, from the kurtosis of the paired differences.
        p_t: two-sided p-value of the paired t test.
        p_wilcoxon: two-sided p-value of Wilcoxon's signed-rank test; None for clusters, whose samples are dependent.
        p_mcnemar: two-sided p-value of the exact McNemar test; None unless each loss is 0 or 1, without weights and
            clusters.
        better, worse: fractions of samples on which the loss is smaller, and larger, than that of the first model.
    """

    value: float
    std_error: float | None
    low: float | None
    high: float | None
    detectable: float | None
    freedom: float | None
    p_t: float | None
    p_wilcoxon: float | None
    p_mcnemar: float | None
    better: float
    worse: float

    @property
    def equal(self) -> bool:
        """Whether the model has the same loss as the first on every sample."""
        return self.value == 0.0 and self.better == 0.0 and self.worse == 0.0

    def is_worse(self, limit: float) -> bool:
        """Return whether the model is significantly worse than the first by more than ``limit``.

        Compares the lower bound of the interval, or ``value`` if there is no interval. A NaN difference is worse.
        """
        return math.isnan(self.value) or (self.value if self.low is None else self.low) > limit


@immutable
class GroupComparison:
    """Several models compared on the samples of one group; attributes as in :class:`Comparison`."""

    samples: int
    clusters: int | None
    scores: tuple[Score, ...]
    differences: tuple[Difference, ...]


@immutable
class Comparison:
    """Several models compared under one loss.

    Attributes:
        loss: the loss.
        plans: for each model, the loss bound to its columns.
        samples: number of samples that count for every model.
        clusters: number of clusters of samples; None if samples are independent.
        left_out: number of samples that count for some models only, or with different numbers of elements.
        rows: number of rows of the input.
        weighed: whether samples have weights.
        ties: fraction of samples on which several models have the smallest loss.
        scores: the score of each model.
        differences: the difference of each model to the first, without the first.
        most_different: for each model, the samples on which the models differ most, the same in the same order.
        profiles: for each model, the profile of its inputs.
        groups: the comparison of each group by its label, in the order of the labels; empty without groups.
    """

    loss: Loss
    plans: tuple[LossPlan, ...]
    samples: int
    clusters: int | None
    left_out: int
    rows: int
    weighed: bool
    ties: float
    scores: tuple[Score, ...]
    differences: tuple[Difference, ...]
    most_different: tuple[SelectedSamples, ...]
    profiles: tuple[InputProfile, ...]
    groups: dict[float | str, GroupComparison] = field(default_factory=dict)


def compare_models(
    data: Dataset,
    losses: Sequence[Loss],
    models: int,
    options: ComputeOptions,
    workers: ExecutionConfig,
    *,
    resamples: int = 10_000,
    seed: int = 0,
    top: int = 5,
    shown: tuple[str, ...] = (),
    by: str | None = None,
    cluster_by: str | None = None,
) -> list[Comparison]:
    """Compare each further model with the first one.

    Args:
        data: the inputs, read once. A role of the loss belongs to the first model, the same role with a number
            (``pred 2``) to a further model. Roles without a numbered counterpart are shared by all models.
        losses: the losses; each gives one comparison.
        models: number of models.
        options: options of the computation.
        workers: configuration of the workers.
        resamples: number of bootstrap resamples, 10,000 by default.
        seed: seed of the bootstrap and of the random choice of samples, 0 by default.
        top: number of samples to return on which the models differ most, 5 by default.
        shown: roles of further columns to show with these samples.
        by: the role of a further column whose values are groups, each compared by itself; none by default.
        cluster_by: the role of a further column: samples of one value, such as the questions about one document, depend
            on each other; none by default.

    Raises:
        DataError: a row is invalid (the first one is reported), no sample counts for every model, there are more than
            1,000 groups, or there is a single cluster.
    """
    cluster = None if cluster_by is None else len(shown)
    shown = (*shown, *(role for role in (cluster_by, by) if role is not None))
    plans = [
        plan_loss(loss, data, options, roles_for_model(loss, data, model)) for loss in losses for model in range(models)
    ]
    losses = [plan.loss for plan in plans[::models]]
    accumulators = [PairedAccumulator(cluster) for _ in losses]
    groups: list[dict[float | str, PairedAccumulator]] = [{} for _ in losses]
    with workers.executor_for(data) as executor:
        for model_losses in map_blocks(data, plans, options, PairedMapper(shown), executor):
            for i, paired in enumerate(accumulators):
                of_loss = model_losses[i * models : (i + 1) * models]
                paired.add(of_loss, top)
                if by is not None:
                    _add_groups(groups[i], of_loss, len(shown) - 1, cluster)
    comparisons = []
    for i, (loss, paired) in enumerate(zip(losses, accumulators, strict=True)):
        if not paired.spool.rows:
            raise DataError(f"{loss.name}: no sample counts for every model")
        if len(paired.numbers) == 1:
            raise DataError("--cluster-by: every sample is in one cluster: an interval needs several")
        with Threads(workers.threads) as executor:
            whole = _compared(paired, loss, models, executor, resamples=resamples, seed=seed)
            of_groups = {
                label: _compared(group, loss, models, executor, resamples=resamples, seed=seed)
                for label, group in sorted(groups[i].items(), key=lambda entry: entry[0])
                if group.spool.rows
            }
        comparisons.append(
            Comparison(
                loss,
                tuple(plans[i * models : (i + 1) * models]),
                whole.samples,
                whole.clusters,
                paired.counted - whole.samples,
                paired.rows,
                paired.weighed,
                1.0 - math.fsum(score.wins for score in whole.scores),
                whole.scores,
                whole.differences,
                paired.most_different,
                paired.profiles,
                of_groups,
            )
        )
    return comparisons


def _add_groups(
    groups: dict[float | str, PairedAccumulator], of_loss: Sequence[ModelLosses], column: int, cluster: int | None
) -> None:
    """Add the samples of a block to the accumulators of their groups."""
    labels = {label for m in of_loss for label in np.unique(m.samples.shown[column]).tolist()}
    for label in labels:
        groups.setdefault(label, PairedAccumulator(cluster)).add([m.of_group(column, label) for m in of_loss], 0)
    if len(groups) > _GROUPS:
        raise DataError(f"more than {_GROUPS:,} groups: each is compared by itself; group by a column of few values")


def _compared(
    paired: PairedAccumulator, loss: Loss, models: int, executor: Executor, *, resamples: int, seed: int
) -> GroupComparison:
    with paired.spool, np.errstate(all="ignore"):  # infinite losses are reported in the result
        records = Records(paired.spool, loss, models, paired.plain, paired.cluster is not None)
        clusters = len(paired.numbers) if records.clustered else None
        return GroupComparison(records.rows, clusters, *_score(records, resamples, seed, executor))


def roles_for_model(loss: Loss, data: Dataset, model: int) -> list[str]:
    """Return the roles of a loss for one model, numbered from 0."""
    numbered = [(role, f"{role} {model + 1}") for role in loss.roles]
    return [of_model if of_model in data.places else role for role, of_model in numbered]


def _score(
    records: Records, resamples: int, seed: int, executor: Executor
) -> tuple[tuple[Score, ...], tuple[Difference, ...]]:
    """Return the score of each model, and the difference of each further model to the first."""
    n, models = records.rows, records.models
    estimates = [estimate_mean(records, model) for model in range(models)]
    wins, better, worse = _counted(records)
    decisions = (
        records.plain
        and not records.clustered
        and all(((part == 0.0) | (part == 1.0)).all() for r in records for part in r.parts)
    )
    independent = records.clusters() if records.clustered else records
    m = independent.rows
    spread = moments(independent, estimates)
    by_t = records.clustered or n < FEW
    ends = (
        [(None, None)] * (models - 1)
        if by_t
        else bootstrap_intervals(records, estimates, spread, resamples=resamples, seed=seed, executor=executor)
    )
    scores = tuple(
        Score(estimate.value, standard_error(squares, m), won / n)
        for estimate, squares, won in zip(estimates, spread.of_values, wins, strict=True)
    )
    differences = []
    for i in range(1, models):
        value, error = estimates[i].value - estimates[0].value, standard_error(spread.of_differences[i], m)
        tested = math.isfinite(value) and error is not None
        low, high = t_interval(value, error, m) if by_t else ends[i - 1]
        differences.append(
            Difference(
                value,
                error,
                low,
                high,
                detectable_difference(error, m) if tested and error else None,
                spread.freedom[i] if low is not None else None,
                t_test_pvalue(value, error, m) if tested and error else None,
                wilcoxon_pvalue(records, i, seed) if tested and not records.clustered else None,
                mcnemar_pvalue(better[i], worse[i]) if decisions and tested else None,
                better[i] / n,
                worse[i] / n,
            )
        )
    return scores, tuple(differences)


def _counted(records: Records) -> tuple[list[int], list[int], list[int]]:
    """Count, for each model, the samples where it alone is best, is better than the first, and is worse."""
    wins, better, worse = ([0] * records.models for _ in range(3))
    for record in records:
        parts = record.parts
        least = np.fmin.reduce(parts)
        alone = sum((part == least).astype(np.intp) for part in parts) == 1
        for i, part in enumerate(parts):
            wins[i] += int(np.count_nonzero((part == least) & alone))
            better[i] += int(np.count_nonzero(part < parts[0]))
            worse[i] += int(np.count_nonzero(part > parts[0]))
    return wins, better, worse
