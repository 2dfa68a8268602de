"""Formulas of losses of sequences."""

from __future__ import annotations

import itertools

from mpmath import mp  # type: ignore[import-untyped]

from oracle.mechanism import INF, Label, Number, Row, oracle


@oracle("ctc")
def ctc(
    pred: list[Row],
    target: list[Label],
    input_lengths: Label,
    target_lengths: Label,
    *,
    blank: Number,
    per_symbol: bool,
    zero_infinity: bool,
) -> list[Number]:
    """−log of the sum over all paths, each tried, that are the target without repeats and blanks.

    The terms are what the most probable path costs, frame by frame, and the rest.
    """
    frames, wanted = pred[:input_lengths], target[:target_lengths]
    total = mp.mpf(0)
    for path in _paths(len(frames), len(pred[0]), wanted, blank):
        total += mp.exp(mp.fsum(frame[symbol] for frame, symbol in zip(frames, path, strict=True)))
    if total == 0:
        return [mp.mpf(0) if zero_infinity else INF]
    best = [max(frame) for frame in frames]
    share = mp.mpf(1) / max(target_lengths, 1) if per_symbol else mp.mpf(1)
    return [share * cost for cost in (*(-cost for cost in best), mp.fsum(best) - mp.log(total))]


def _paths(frames: int, symbols: int, wanted: list[Label], blank: Number) -> list[tuple[Label, ...]]:
    """Every path of a symbol a frame that reads as ``wanted``: what cannot become one is not gone on with.

    >>> _paths(2, 3, [1], 0)
    [(0, 1), (1, 0), (1, 1)]
    """

    def read(path: tuple[Label, ...]) -> list[Label]:
        return [symbol for symbol, _ in itertools.groupby(path) if symbol != blank]

    paths: list[tuple[Label, ...]] = [()]
    for _ in range(frames):
        longer = [(*path, symbol) for path in paths for symbol in range(symbols)]
        paths = [path for path in longer if (seen := read(path)) == wanted[: len(seen)]]
    return [path for path in paths if read(path) == wanted]
