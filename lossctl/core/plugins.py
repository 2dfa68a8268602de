"""Losses of installed packages: entry points of the group ``lossctl.losses``, name → loss or function.

The scan for entry points takes a fifth of the startup time, so it is made only for names that are not built in, and
for ``lossctl list``.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lossctl.core.decorator import Loss, from_function, validate_signature
from lossctl.errors import UsageError, printable

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP = "lossctl.losses"


@dataclass(frozen=True)
class Offer:
    """An entry point of a package that names a loss, before its import."""

    name: str
    package: str
    entry: EntryPoint

    def load(self) -> Loss:
        """Import the loss, under the name of its entry point.

        Raises:
            UsageError: the entry point cannot be imported, or is neither a loss nor a function.
        """
        what = f"loss {self.name!r} of the package {self.package}"
        try:
            value = self.entry.load()
            function = callable(value) and not isinstance(value, (type, Loss))
            loss = from_function(value) if function else validate_signature(value) if isinstance(value, Loss) else value
        except UsageError as error:
            raise UsageError(f"{what}: {error}") from None
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a package raises as it is imported
            cause = f"{type(error).__name__}: {printable(str(error))}"
            raise UsageError(f"{what} cannot be imported: {cause}") from None
        if not isinstance(loss, Loss):
            kind = "a class" if isinstance(value, type) else f"of type {type(value).__name__}"
            raise UsageError(f"{what} is {kind}: neither a loss nor a function")
        return replace(loss, name=self.name, family=self.package, source=self.package)


def offers() -> dict[str, list[Offer]]:
    """Find the entry points of all installed packages, by name, sorted by name and package."""
    from importlib.metadata import entry_points  # takes 20 ms, not needed for built-in names

    offers_by_name: dict[str, list[Offer]] = {}
    for entry in entry_points(group=GROUP):
        name = printable(entry.name.strip().replace("-", "_").lower())
        package = printable(str(entry.dist.metadata["Name"])) if entry.dist is not None else "?"
        offers_by_name.setdefault(name, []).append(Offer(name, package, entry))
    return {name: sorted(offers_by_name[name], key=lambda offer: offer.package) for name in sorted(offers_by_name)}


def single_offer(candidates: list[Offer]) -> Offer:
    """Return the only entry point of a name.

    Raises:
        UsageError: the name has several entry points.
    """
    packages = list(dict.fromkeys(offer.package for offer in candidates))
    if len(candidates) > 1:
        who = (
            f"the packages {' and '.join(packages)} all offer it" if len(packages) > 1 else f"{packages[0]} offers two"
        )
        raise UsageError(f"loss {candidates[0].name!r}: {who}: lossctl cannot tell which is meant")
    return candidates[0]


def load_plugins(taken: Container[str]) -> tuple[list[Loss], list[str]]:
    """Load the losses of all installed packages.

    Args:
        taken: the names of the built-in losses, which take precedence.

    Returns:
        the losses, and one line for each that cannot be used, with the reason.
    """
    losses: list[Loss] = []
    notes: list[str] = []
    for name, candidates in offers().items():
        if name in taken:
            who = " and ".join(offer.package for offer in candidates)
            notes.append(f"loss {name!r} of the package {who} is not used: lossctl has a loss of that name")
            continue
        try:
            losses.append(single_offer(candidates).load())
        except UsageError as error:
            notes.append(str(error))
    return losses, notes
