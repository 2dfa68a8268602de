"""Which losses of other libraries lossctl has: ``python tests/scripts/shares.py``.

The table is tests/scripts/peers.toml. An interpreter that has the libraries also checks that the table is complete:
it fails if a loss of a library is not in the table, and names the libraries that are not installed.

    PYTHONPATH=. peers/bin/python tests/scripts/shares.py
"""

from __future__ import annotations

import os
import re
import sys
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from inspect import isclass, isfunction
from pathlib import Path
from typing import Any

TABLE = Path(__file__).parent / "peers.toml"


@dataclass(frozen=True)
class Peer:
    """The losses of a library.

    Attributes:
        name: the library.
        version: its version.
        has: for each loss that lossctl has, its name in lossctl.
        lacks: for each loss that lossctl lacks, the reason.
        other: for each name that is not a loss of data, the reason.
    """

    name: str
    version: str
    has: dict[str, str]
    lacks: dict[str, str]
    other: dict[str, str]

    @property
    def share(self) -> str:
        """The share of losses of data that lossctl has.

        >>> Peer("a", "1", {"l1": "mae"}, {"l0": "no"}, {}).share
        '1 of 2 (50 %)'
        """
        known, all_of_them = len(self.has), len(self.has) + len(self.lacks)
        return f"{known} of {all_of_them} ({100 * known // all_of_them} %)"


def peers() -> list[Peer]:
    """Return the table of peers.toml."""
    found = tomllib.loads(TABLE.read_text(encoding="utf-8"))
    return [Peer(name, p["version"], p["has"], p.get("lacks", {}), p.get("other", {})) for name, p in found.items()]


def _named(module: str, fits: Callable[[str, Any], bool]) -> set[str]:
    return {n for n, value in vars(import_module(module)).items() if not n.startswith("_") and fits(n, value)}


def _refused(train: Callable[[], object], pattern: str) -> set[str]:
    """Return the names listed in the error for an unknown objective."""
    try:
        train()
    except Exception as error:  # noqa: BLE001 - each library has its own
        return set(re.findall(pattern, str(error)))
    raise AssertionError("an objective called nope was taken")


def _xgboost() -> set[str]:
    import numpy as np
    import xgboost

    data = xgboost.DMatrix(np.zeros((2, 1)), label=[0, 1])
    return _refused(lambda: xgboost.train({"objective": "nope"}, data, 1), r"candidate: (\S+)")


def _catboost() -> set[str]:
    """Return the names of the table that the library knows; its list of losses contains metrics too."""
    import catboost
    import numpy as np

    model = catboost.CatBoost({"loss_function": "nope", "verbose": 0, "allow_writing_files": False})
    return _refused(lambda: model.fit(np.zeros((4, 1)), [0, 1, 0, 1]), r"'(\w+)'") & _ours("catboost")


def _lightgbm() -> set[str]:
    """Return the names of the table that the library knows; it has no list of losses."""
    import lightgbm
    import numpy as np

    def takes(name: str) -> bool:
        data = lightgbm.Dataset(np.zeros((20, 1)), label=[0, 1] * 10, group=[20])
        try:
            lightgbm.train({"objective": name, "num_class": 2 if "multi" in name else 1, "verbose": -1}, data, 1)
        except lightgbm.basic.LightGBMError as error:
            return "Unknown objective" not in str(error)
        return True

    return set(filter(takes, _ours("lightgbm")))


def _ours(name: str) -> set[str]:
    peer = next(p for p in peers() if p.name == name)
    return {*peer.has, *peer.lacks, *peer.other}


# The losses of each library, according to the library.
EXPORTS: dict[str, Callable[[], set[str]]] = {
    "torch.nn": lambda: _named("torch.nn", lambda n, _: n.endswith("Loss")),
    "keras.losses": lambda: _named("keras.losses", lambda _, value: isfunction(value)),
    "optax.losses": lambda: _named("optax.losses", lambda _, value: callable(value)),
    "sklearn.metrics": lambda: _named("sklearn.metrics", lambda n, _: n.endswith(("_loss", "_error", "_deviance"))),
    "statsmodels.robust.norms": lambda: _named(
        "statsmodels.robust.norms", lambda _, value: isclass(value) and hasattr(value, "rho")
    ),
    "xgboost": _xgboost,
    "lightgbm": _lightgbm,
    "catboost": _catboost,
}


def main() -> int:
    """Print a line per library; return 1 if the table and an installed library differ."""
    os.environ.setdefault("KERAS_BACKEND", "torch")
    wrong = 0
    for peer in peers():
        try:
            exported = EXPORTS[peer.name]()
        except ImportError:
            told = "not installed"
        else:
            odd = sorted(exported ^ _ours(peer.name))
            wrong += len(odd)
            told = f"differs: {', '.join(odd)}" if odd else "agrees"
        print(f"{peer.name:26}{peer.version:>8}  {peer.share:20} {len(peer.other):2} no losses of data; {told}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
