"""The loss that ``--like LIBRARY`` computes: a registered loss, or a function of the library, by its convention."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from lossctl.conventions.as_loss import loss_of
from lossctl.conventions.lookup import conventions, holds, of_loss, split_library
from lossctl.conventions.record import Convention
from lossctl.core.loss import Loss
from lossctl.core.registry import by_any_name, get_loss, normalized_name
from lossctl.errors import UsageError, nearest, quoted
from lossctl.immutable import immutable


@immutable
class Like:
    """A convention that was asked for, and the parameters of the loss.

    Attributes:
        row: the convention.
        params: the parameters that were given, by name.
    """

    row: Convention
    params: dict[str, object]

    def loss(self, class_weight: Sequence[float] = ()) -> Loss:
        """Return the loss to compute; ``class_weight`` are weights of the classes."""
        return loss_of(self.row, class_weight, **self.params)

    def check(self, *, weighted: bool, class_weighted: bool) -> None:
        """Check that the function takes the weights that are given.

        Raises:
            UsageError: it does not.
        """
        title = self.row.title
        if weighted and not self.row.weights:
            raise UsageError(f"--weight: {title} takes no weights of samples")
        if class_weighted and not (self.row.class_weights or self.row.inside):
            raise UsageError(f"--class-weight: {title} takes no weights of classes")

    def settings(self, class_weight: Sequence[float], ignore_index: int | None) -> dict[str, Any]:
        """Return the options of the engine for weights of classes and a label to ignore, by name."""
        settings = self.row.settings(class_weight)
        settings["ignore_index"] = self.row.ignored if ignore_index is None else ignore_index
        if self.row.normalizes:
            settings["tolerance"] = math.inf
        return settings

    def reduction(self, asked: str) -> str:
        """Return the reduction of the function if the mean, which is the default, is asked for."""
        return "sum" if asked == "mean" and self.row.reduction == "sum" else asked

    def note(self, *, weighted: bool, class_weighted: bool) -> str:
        """Return the function with each way in which it departs from the registered loss, for these weights."""
        row = self.row
        texts = [*row.departures]
        if weighted and row.weights == "count":
            texts.append("divides the weighted sum by the count")
        if class_weighted and row.inside:
            texts.append("has the class weights within the sum over the classes")
        if row.ignored is not None:
            texts.append(f"leaves out targets of {row.ignored}")
        mode = f"; {row.mode}" if row.mode else ""
        return f"{row.loss} like {row.title}: {'; '.join(texts) or 'no difference'}{mode}"


def find_like(spec: str, library_text: str) -> list[Like]:
    """Return the conventions that a loss, or a function of a library, may mean; several if it takes several shapes.

    Args:
        spec: the name of a loss or of a function of the library, with parameters: ``bce:label_smoothing=0.1``.
        library_text: ``LIBRARY[@VERSION]``.

    Raises:
        UsageError: the library is unknown, or has no such function.
    """
    library, version = split_library(library_text)
    name, *texts = spec.split(":")
    of_library = [row for row in conventions() if row.library.name == library and holds(row, version)]
    rows = [row for row in of_library if normalized_name(row.function) == normalized_name(name)]
    named = [row for row in rows if row.loss.partition(":")[0] == name.replace("-", "_")]
    rows = named or rows  # the name of a registered loss is that loss
    if rows:
        return [Like(row, _params(row, texts)) for row in [r for r in rows if _allows(r, texts)] or rows]
    try:
        loss = get_loss(spec)
    except UsageError as error:
        functions = sorted({row.function for row in of_library})
        raise UsageError(f"{error}; functions of {library}: {', '.join(functions)}{nearest(name, functions)}") from None
    rows = [row for row in of_loss(loss.name) if row in of_library]
    if not rows:
        others = sorted({row.library.name for row in of_loss(loss.name)})
        listed = f"; it is known of {', '.join(others)}" if others else ""
        raise UsageError(f"--like {quoted(library_text)}: {library} has no function for {loss.name}{listed}")
    return [Like(rows[0], dict(loss.bound_values))]


def single_like(spec: str, library_text: str) -> Like:
    """Return the convention of a loss, or of a function that has a single one.

    Raises:
        UsageError: as :func:`find_like`; or the function takes several shapes.
    """
    likes = find_like(spec, library_text)
    if len(likes) > 1 and (alias := by_any_name().get(spec.partition(":")[0].replace("-", "_").lower())):
        likes = [like for like in likes if like.row.loss.partition(":")[0] == alias.name] or likes
    if len(likes) > 1:
        losses = " or ".join(dict.fromkeys(like.row.loss.partition(":")[0] for like in likes))
        raise UsageError(f"--like: {likes[0].row.title} takes several shapes of targets: name the loss, {losses}")
    return likes[0]


def _params(row: Convention, texts: Sequence[str]) -> dict[str, object]:
    """Return the parameters that ``texts`` set."""
    return dict(get_loss(":".join([row.loss.partition(":")[0], *texts])).bound_values)


def _allows(row: Convention, texts: Sequence[str]) -> bool:
    """Return whether the loss of a convention has the parameters that ``texts`` set."""
    known = {p.name for p in get_loss(row.loss).parameters}
    return all(text.partition("=")[0].strip().replace("-", "_") in known for text in texts)
