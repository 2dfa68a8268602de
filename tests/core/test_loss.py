"""Declaration of losses, binding of parameters, and losses in user files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import pytest

import lossctl
from lossctl import POSITIVE, DataError, LogProbabilities, Param, Real, UsageError, get_loss, loss
from lossctl.core.decorator import from_function
from lossctl.core.registry import registered

SAMPLES = Path(__file__).parents[2] / "samples"


@loss(formula="f", reference="s", aliases=["other"], differences=["d"], pitfalls=["p"], relative_accuracy="everywhere")
def everything(
    pred: Real,
    target: LogProbabilities,
    *,
    rate: Annotated[float, Param("a rate", POSITIVE)] = 1.0,
    alpha: Annotated[float | None, Param("a balance, or none")] = 0.25,
    full: Annotated[bool, Param("with the constant")] = False,
    p: Annotated[int, Param("a power")] = 2,
    estimator: Annotated[Literal["energy", "fair"], Param("which one")] = "energy",
):
    """What it is.

    And more of it.
    """
    return pred, lambda: pred


def test_a_signature_says_inputs_and_parameters() -> None:
    assert [(i.name, i.kind.name) for i in everything.inputs] == [("pred", "Real"), ("target", "LogProbabilities")]
    assert [p.name for p in everything.parameters] == ["rate", "alpha", "full", "p", "estimator"]
    assert everything.parameters[0].help == "a rate"
    assert everything.params == {"rate": 1.0, "alpha": 0.25, "full": False, "p": 2, "estimator": "energy"}
    assert (everything.summary, everything.doc) == ("What it is", "What it is.\n\nAnd more of it.")
    assert (everything.formula, everything.reference, everything.aliases) == ("f", "s", ("other",))
    assert (everything.differences, everything.pitfalls, everything.relative_accuracy) == (("d",), ("p",), "everywhere")


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("rate", "0.5", 0.5),
        ("rate", "1e3", 1000.0),
        ("alpha", "none", None),
        ("alpha", "None", None),
        ("alpha", "2", 2.0),
        ("full", "true", True),
        ("full", "False", False),
        ("p", "3", 3),
        ("estimator", "fair", "fair"),
    ],
)
def test_parameters_are_numbers_booleans_none_or_words(name: str, text: str, value: object) -> None:
    bound = everything.bind(**{name: text})
    assert bound.params[name] == value
    assert type(bound.params[name]) is type(value)
    assert everything.bind(**{name: value}).params[name] == value
    if value != everything.params[name]:
        assert bound.spec == f"everything:{name}={text.lower()}".replace("1e3", "1000")


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("rate", "0", "'0' is not a number above 0"),
        ("rate", "nan", "not a number above 0"),
        ("rate", "inf", "not a number above 0"),
        ("rate", "1_0", "'1_0'"),
        ("rate", "٣", "not a number"),
        ("rate", "x", "not a number above 0"),
        ("rate", "none", "'none'"),
        ("rate", "true", "'true'"),
        ("full", "1", "'1' is not true or false"),
        ("p", "2.5", "not a whole number"),
        ("estimator", "fai", "did you mean 'fair'"),
        ("beta", "1", "has no parameter 'beta'"),
        ("rat", "1", "did you mean 'rate'"),
    ],
)
def test_a_wrong_parameter_says_what_is_right(name: str, text: str, words: str) -> None:
    with pytest.raises(UsageError, match=r"^everything") as error:
        everything.bind(**{name: text})
    assert words in str(error.value)


@pytest.mark.parametrize("value", [True, "1", None, 0.0, float("nan")])
def test_a_wrong_value_from_python_is_refused_as_well(value: object) -> None:
    if value == "1":
        assert get_loss("huber").bind(delta=value).params == {"delta": 1.0}
        return
    with pytest.raises(UsageError):
        get_loss("huber").bind(delta=value)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("hubr", "did you mean 'huber'"),
        ("zzzz", "see: lossctl list"),
        ("", "no name"),
        (":delta=1", "no name"),
        ("huber:delta", "'delta' is not param=value"),
        ("huber:=1", "is not param=value"),
        ("huber:delta=1:delta=2", "given twice"),
        ("mse:delta=1", "takes none"),
        ("nowhere.py:f", "no such file"),
        ("my.py", "name the function"),
    ],
)
def test_a_wrong_spec_says_what_is_right(spec: str, words: str) -> None:
    with pytest.raises(UsageError) as error:
        get_loss(spec)
    assert words in str(error.value)


def test_names_take_hyphens_capitals_and_aliases() -> None:
    assert get_loss("Pseudo-Huber").name == get_loss("charbonnier").name == "pseudo_huber"
    names = [name for entry in registered().values() for name in (entry.name, *entry.aliases)]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("entry", registered().values(), ids=lambda entry: entry.name)
def test_every_loss_says_what_people_need(entry: lossctl.Loss) -> None:
    assert entry.formula
    assert entry.reference
    assert entry.doc
    assert len(entry.summary) < 80
    assert all(p.help for p in entry.parameters)
    assert entry.inputs[0].name == "pred"


# --- a user's own ---


def test_a_decorated_loss_of_a_file() -> None:
    asym = get_loss(f"{SAMPLES / 'my_losses.py'}:asym:alpha=3")
    assert asym.params == {"alpha": 3.0}
    assert asym.value([2.0, -2.0], [0.0, 0.0]).tolist() == [12.0, 4.0]
    assert asym.gradient([2.0, -2.0], [0.0, 0.0]).tolist() == [12.0, -4.0]


def test_a_plain_function_is_a_loss_without_a_gradient() -> None:
    cubic = get_loss(f"{SAMPLES / 'my_losses.py'}:cubic")
    assert cubic.value([2.0], [0.0]).tolist() == [8.0]
    with pytest.raises(UsageError, match="has no gradient"):
        cubic.gradient([2.0], [0.0])


@pytest.mark.parametrize("thunk", [True, False])
def test_a_plain_function_may_give_its_gradient_as_an_array_or_a_thunk(thunk: bool) -> None:
    def quartic(pred, target, *, scale=2.0):
        gradient = scale * 4 * (pred - target) ** 3
        return scale * (pred - target) ** 4, (lambda: gradient) if thunk else gradient

    made = from_function(quartic)
    assert made.bind(scale=0.5).gradient([2.0], [0.0]).tolist() == [16.0]
    assert float(lossctl.compute(quartic, [1.0], [0.0])) == 2.0


def test_a_loss_in_a_script_is_refreshed_by_no_name_clash(tmp_path: Path) -> None:
    """Two files may define a loss of the same name, also the name of a built-in loss."""
    for i in (1, 2):
        (tmp_path / f"l{i}.py").write_text(f"def mse(pred, target):\n    return 0 * pred + {i}\n")
    assert [float(lossctl.compute(f"{tmp_path}/l{i}.py:mse", [0.0], [0.0])) for i in (1, 2)] == [1.0, 2.0]
    assert float(lossctl.compute("mse", [3.0], [0.0])) == 9.0


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("return (pred - target).mean()", "return one loss per sample"),
        ("return (pred - target)[:1]", "shape (1,) instead of (3,)"),
        ("return 'x'", "str instead of an array"),
        ("return pred, pred[:2]", "gradient"),
        ("return pred.no_such()", "AttributeError"),
    ],
)
def test_what_a_users_function_does_wrong_is_told(tmp_path: Path, body: str, words: str) -> None:
    (tmp_path / "own.py").write_text(f"def bad(pred, target):\n    {body}\n")
    bad = get_loss(f"{tmp_path}/own.py:bad")
    with pytest.raises((UsageError, DataError)) as error:
        (bad.gradient if "gradient" in words else bad.value)([1.0, 2.0, 3.0], [0.0, 0.0, 0.0])
    assert words in str(error.value)
    assert "bad" in str(error.value)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("def f(*args):\n    return 0", "needs named inputs"),
        ("def f():\n    return 0", "at least one input"),
        ("def f(pred, target, *, k):\n    return pred", "has no default"),
        (
            "from __future__ import annotations\ndef f(pred: Missing, target):\n    return pred",
            "annotations cannot be read",
        ),
        ("def f(pred) return", ":1: "),
        ("raise RuntimeError('at import')", "RuntimeError: at import"),
        ("def g(pred, target):\n    return pred", "has no function 'f'; it has g"),
        ("f = 3", "has no function 'f'"),
    ],
)
def test_a_users_file_that_cannot_be_used_is_told(tmp_path: Path, source: str, words: str) -> None:
    (tmp_path / "own.py").write_text(source + "\n")
    with pytest.raises(UsageError) as error:
        get_loss(f"{tmp_path}/own.py:f")
    assert words in str(error.value)


def test_inputs_of_a_users_loss_may_have_any_names_and_kinds(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(
        "from lossctl import Label, Logits, loss\n"
        "@loss()\n"
        "def pick(scores: Logits, truth: Label):\n"
        "    '''The score of the class.'''\n"
        "    return scores[range(len(truth)), truth.astype(int)]\n"
    )
    result = lossctl.compute(f"{tmp_path}/own.py:pick", np.arange(6.0).reshape(3, 2), [0, 1, 0])
    assert float(result) == (0 + 3 + 4) / 3
