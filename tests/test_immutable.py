"""``@immutable`` behaves as ``dataclass(frozen=True)``, which is the oracle here."""

from __future__ import annotations

import copy
import inspect
import pickle
from collections.abc import Callable
from dataclasses import FrozenInstanceError, dataclass, field, fields, replace
from typing import Any

import pytest

from lossctl.immutable import immutable


def points(decorate: Callable[[type], type]) -> tuple[type, type]:
    @decorate
    class Point:
        """A class with each form of field."""

        x: float
        y: float = 0.5
        tags: list[str] = field(default_factory=list, compare=False)
        norm: float = field(init=False, repr=False, default=-1.0)

        def __post_init__(self) -> None:
            object.__setattr__(self, "norm", abs(self.x) + abs(self.y))

        def __repr__(self) -> str:
            return f"<{self.x}>"

    @decorate
    class Named(Point):  # type: ignore[valid-type,misc]
        """A class with a base and a field for keywords only."""

        name: str = field(default="", kw_only=True)
        z: int = 3

    return Point, Named


Point, Named = points(immutable)
Reference, NamedReference = points(dataclass(frozen=True))
CALLS: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
    *[
        ((1.0,), {}),
        ((1.0, 2.0), {}),
        ((1.0, 2.0, ["a"]), {}),
        ((), {"x": 3.0}),
        ((), {"tags": [], "y": 2.0, "x": 3.0}),
        ((1.0,), {"tags": ["b"]}),
    ],
    *[
        ((), {}),
        ((1.0,), {"x": 2.0}),
        ((1.0,), {"q": 2.0}),
        ((1.0, 2.0, [], 4.0, 5.0, 6.0), {}),
        ((1.0,), {"norm": 2.0}),
    ],
    *[((1.0, 2.0, [], 7), {}), ((1.0,), {"name": "n"})],
]


@pytest.mark.parametrize(("ours", "reference"), [(Point, Reference), (Named, NamedReference)])
@pytest.mark.parametrize(("arguments", "keywords"), CALLS)
def test_objects(ours: type, reference: type, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> None:
    try:
        right = reference(*arguments, **keywords)
    except TypeError:
        with pytest.raises(TypeError, match=ours.__name__):
            ours(*arguments, **keywords)
        return
    made = ours(*arguments, **keywords)
    assert list(vars(made).items()) == list(vars(right).items())
    assert repr(made).split(".")[-1] == repr(right).split(".")[-1]
    assert made == ours(*arguments, **keywords)
    assert hash(made) == hash(right)
    assert list(vars(replace(made, y=9.0)).items()) == list(vars(replace(right, y=9.0)).items())
    assert made != replace(made, y=9.0)
    assert made != right
    assert copy.deepcopy(made) == made
    assert [f.name for f in fields(made)] == [f.name for f in fields(right)]


@pytest.mark.parametrize(("ours", "reference"), [(Point, Reference), (Named, NamedReference)])
def test_what_help_shows(ours: type, reference: type) -> None:
    shown, right = [list(inspect.signature(cls).parameters.values()) for cls in (ours, reference)]
    assert [(p.name, p.kind) for p in shown] == [(p.name, p.kind) for p in right]
    assert [p.default for p in shown if p.name != "tags"] == [p.default for p in right if p.name != "tags"]


def test_a_default_factory_is_called_for_each_object() -> None:
    assert Point(1.0).tags is not Point(1.0).tags


@pytest.mark.parametrize("name", ["x", "y", "another"])
def test_nothing_is_assigned_or_deleted(name: str) -> None:
    point = Point(1.0)
    with pytest.raises(FrozenInstanceError, match=name):
        setattr(point, name, 2.0)
    with pytest.raises(FrozenInstanceError, match=name):
        delattr(point, name)


@immutable(eq=False)
class Identity:
    """A class whose objects differ."""

    x: int


@immutable(kw_only=True)
class Keywords:
    """A class that takes keywords."""

    x: int
    y: int = 0


def test_without_equality_each_object_is_its_own() -> None:
    assert Identity(1) != Identity(1)
    assert len({Identity(1), Identity(1)}) == 2


def test_keywords_only() -> None:
    assert Keywords(x=1) == Keywords(x=1, y=0)
    with pytest.raises(TypeError, match="takes 0 positional arguments, not 1"):
        Keywords(1)  # type: ignore[misc]


def test_objects_are_pickled() -> None:
    assert pickle.loads(pickle.dumps(Keywords(x=1))) == Keywords(x=1)  # noqa: S301 -- written here
