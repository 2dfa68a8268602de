"""Losses of installed packages: entry points of the group ``lossctl.losses``, name → loss or function.

The scan for entry points takes a fifth of the startup time, so it is made only for names that are not built in, and
for ``lossctl list``.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import replace
from typing import TYPE_CHECKING

from lossctl.core.decorator import Loss, from_function, validate_signature
from lossctl.errors import UsageError, described, is_signal, printable
from lossctl.immutable import immutable

if TYPE_CHECKING:
    from importlib.metadata import Distribution, EntryPoint

GROUP = "lossctl.losses"


# The packages whose losses were imported.
_packages: set[str] = set()


def is_of_plugin(module: str) -> bool:
    """Return whether a module is of a package whose loss was imported."""
    return module.partition(".")[0] in _packages


@immutable
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
        _packages.add(self.entry.module.partition(".")[0])
        try:
            value = self.entry.load()
            function = callable(value) and not isinstance(value, (type, Loss))
            loss = from_function(value) if function else validate_signature(value) if isinstance(value, Loss) else value
        except UsageError as error:
            raise UsageError(f"{what}: {error}") from None
        except BaseException as error:  # whatever a package raises as it is imported
            if is_signal(error):
                raise
            cause = described(error)
            raise UsageError(f"{what} cannot be imported: {cause}") from None
        if not isinstance(loss, Loss):
            kind = "a class" if isinstance(value, type) else f"of type {type(value).__name__}"
            raise UsageError(f"{what} is {kind}: neither a loss nor a function")
        return replace(loss, name=self.name, family=self.package, source=self.package)


def offers() -> tuple[dict[str, list[Offer]], list[str]]:
    """Find the entry points of all installed packages.

    Returns:
        the entry points by name, sorted by name and package; and one line for each package that cannot be searched.
    """
    from importlib.metadata import distributions  # takes 20 ms, not needed for built-in names

    offers_by_name: dict[str, list[Offer]] = {}
    notes: list[str] = []
    searched: set[str] = set()
    for distribution in distributions():
        package = "?"
        try:
            entries = distribution.entry_points.select(group=GROUP)
            if not entries:
                continue
            package = printable(str(distribution.metadata["Name"]))
        except Exception as error:  # noqa: BLE001 - metadata that other people wrote, damaged in any way
            notes.append(f"a package in {_folder(distribution)} is not searched for losses: {described(error)}")
            continue
        if package in searched:  # an older installation further down the path
            continue
        searched.add(package)
        for entry in entries:
            name = printable(entry.name.strip().replace("-", "_").lower())
            offers_by_name.setdefault(name, []).append(Offer(name, package, entry))
    by_package = {
        name: sorted(offers_by_name[name], key=lambda offer: offer.package) for name in sorted(offers_by_name)
    }
    return by_package, notes


def _folder(distribution: Distribution) -> str:
    return printable(str(distribution.locate_file("")))


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
    by_name, notes = offers()
    for name, candidates in by_name.items():
        if name in taken:
            who = " and ".join(offer.package for offer in candidates)
            notes.append(f"loss {name!r} of the package {who} is not used: lossctl has a loss of that name")
            continue
        try:
            losses.append(single_offer(candidates).load())
        except UsageError as error:
            notes.append(str(error))
    return losses, notes
