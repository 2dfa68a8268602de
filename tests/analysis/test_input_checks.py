"""Warnings about suspicious inputs: each planted problem is reported, correct data give no warning."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import update_readme as readme

from lossctl import api, get_loss
from lossctl.analysis.input_checks import check_inputs
from lossctl.analysis.input_profile import profile_block
from lossctl.cli.app import main
from lossctl.core.loss import Loss
from lossctl.engine.executors.config import ExecutionConfig
from lossctl.engine.options import ComputeOptions
from lossctl.engine.plan import plan_loss
from lossctl.engine.run import block_rows, compute_losses
from lossctl.errors import DataError
from lossctl.io import dataset

ROOT = Path(__file__).parents[2]
RNG = np.random.default_rng(0)
N = 400
SCORES, NOISE = RNG.normal(size=N) * 3, RNG.normal(size=N)
PROBS = 1 / (1 + np.exp(-SCORES))
HAPPENED = (RNG.random(N) < PROBS) * 1.0
LOGITS = RNG.normal(size=(N, 4)) * 2
LABELS = RNG.integers(0, 4, N)
ROWS = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True)


def told(loss: str, pred: Any, target: Any, threads: int = 2, **more: Any) -> list[str]:
    """Return the advice of ``compute`` on arrays."""
    data = dataset.from_arrays({"pred": pred, "target": target, **more})
    losses = [get_loss(spec) for spec in loss.split(",")]
    return advice(data, losses, ComputeOptions(), threads)


def advice(data: dataset.Dataset, losses: list[Loss], options: ComputeOptions, threads: int = 2) -> list[str]:
    """Return the warnings of one pass over the data."""
    computed = compute_losses(data, losses, options, "mean", ExecutionConfig(threads), profile=profile_block)
    return list(check_inputs(data, computed.plans, options, computed.profiles))


# --- planted, and told -------------------------------------------------------------------------------

PLANTED = [
    ("zero_one", SCORES, HAPPENED, "zero_one decides at threshold=0.5, .* zero_one:threshold=0$"),
    ("bce_with_logits", PROBS, HAPPENED, "bce_with_logits takes scores, .* probabilities[?] bce takes probabilities"),
    ("hinge", PROBS, 2 * HAPPENED - 1, "hinge takes scores, .* probabilities[?]$"),
    ("cross_entropy", ROWS, LABELS, "takes scores, .* sparse_categorical_cross_entropy takes probabilities"),
    ("softmax_cross_entropy", ROWS, np.eye(4)[LABELS], "categorical_cross_entropy takes probabilities"),
    ("cross_entropy", LOGITS, 1 + LABELS % 3, "no target is class 0, .* add --labels 1,2,3,4"),
    ("mse", PROBS, HAPPENED, "loss for quantities, and every target is 0 or 1: .* bce.* Brier"),
    ("huber", SCORES, HAPPENED, "^huber is a loss for quantities"),
    ("mse", np.full(N, 2.5), SCORES, "every prediction is the same"),
    ("cross_entropy", np.tile(LOGITS[0], (N, 1)), LABELS, "every prediction is the same"),
    ("bce", HAPPENED, PROBS, "predictions come first; are they swapped"),
    ("mse", np.tile(SCORES, 2), np.tile(SCORES + NOISE, 2), "every sample is there 2 times"),
    ("mse", np.repeat(SCORES, 3), np.repeat(SCORES + NOISE, 3), "every sample is there 3 times"),
    (
        "mse",
        np.concatenate([SCORES, SCORES[20:50]]),
        np.concatenate([NOISE, NOISE[20:50]]),
        f"samples {N} to {N + 29} are samples 20 to 49 once more",
    ),
    ("cross_entropy", np.tile(LOGITS, (2, 1)), np.tile(LABELS, 2), "every sample is there 2 times"),
    (
        "mse",
        (1e6 + SCORES / 100).astype(np.float32),
        (1e6 + NOISE / 100).astype(np.float32),
        "float32, of 6 digits, .* write float64",
    ),
    ("mae", (1e6 + SCORES / 100).astype(np.float32), 1e6 + NOISE / 100, "float32"),
]


@pytest.mark.parametrize(("loss", "pred", "target", "note"), PLANTED, ids=[f"{p[0]}: {p[3][:30]}" for p in PLANTED])
def test_planted(loss: str, pred: np.ndarray, target: np.ndarray, note: str) -> None:
    (line,) = told(loss, pred, target)
    assert re.search(note, line), line


@pytest.mark.parametrize(
    ("loss", "pred", "target", "note"),
    [
        ("bce,bce_with_logits", PROBS, HAPPENED, "^bce_with_logits takes scores"),
        ("bce,bce_with_logits", HAPPENED, PROBS, "are they swapped"),
        ("poisson_nll,mse", np.exp(SCORES).astype(np.float32) + np.float32(1e6), np.exp(SCORES) + 1e6, "mse is mostly"),
        ("nll,cross_entropy", np.log(ROWS), 1 + LABELS % 3, "no target is class 0"),
    ],
)
def test_every_loss_is_looked_at(loss: str, pred: np.ndarray, target: np.ndarray, note: str) -> None:
    """Each loss is checked, in any order, and a warning is shown once."""
    lines, others = (told(spec, pred, target) for spec in (loss, ",".join(reversed(loss.split(",")))))
    assert len([line for line in lines if re.search(note, line)]) == 1
    assert lines == others


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_the_same_whatever_the_threads(monkeypatch: pytest.MonkeyPatch, threads: int) -> None:
    """Profiles of many small blocks add up to that of one block."""
    monkeypatch.setattr("lossctl.engine.run.BLOCK", 64)
    for loss, pred, target, note in PLANTED:
        (line,) = told(loss, pred, target, threads)
        assert re.search(note, line), line


def test_blocks_are_small_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Checks that the test above has many blocks."""
    data = dataset.from_arrays({"pred": SCORES, "target": NOISE})
    job = plan_loss(get_loss("mse"), data, ComputeOptions())
    assert block_rows(data, [job]) >= N
    monkeypatch.setattr("lossctl.engine.run.BLOCK", 64)
    assert block_rows(data, [job]) == 64


def test_the_first_exception_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """One prediction outside [0, 1], one that differs, one target of class 0: no advice, wherever it is."""
    monkeypatch.setattr("lossctl.engine.run.BLOCK", 64)
    for place in (0, 17, 200, N - 1):
        probs, same, labels, quantities = PROBS.copy(), np.full(N, 2.5), 1 + LABELS % 3, HAPPENED.copy()
        probs[place], same[place], labels[place], quantities[place] = 1.5, 2.6, 0, 0.5
        assert told("bce_with_logits", probs, HAPPENED) == []
        assert told("mse", same, SCORES) == []
        assert told("cross_entropy", LOGITS, labels) == []
        assert told("mse", SCORES, quantities) == []
        near, other = (1e6 + x / 100 for x in (SCORES, NOISE))
        near[place] = -1e6
        assert told("mse", near.astype(np.float32), other.astype(np.float32)) == []


# --- silent on what is as it should be ---------------------------------------------------------------

RIGHT: list[tuple[str, Any, Any]] = [
    ("mse", SCORES, SCORES + NOISE),
    ("mse", SCORES.astype(np.float32), (SCORES + NOISE).astype(np.float32)),
    ("mse", SCORES, SCORES),
    ("bce", PROBS, HAPPENED),
    ("bce", PROBS, PROBS[::-1].copy()),
    ("bce,mse", PROBS, HAPPENED),
    ("mse,bce", PROBS, HAPPENED),
    ("bce_with_logits", SCORES, HAPPENED),
    ("hinge", SCORES, 2 * HAPPENED - 1),
    ("cross_entropy", LOGITS, LABELS),
    ("sparse_categorical_cross_entropy", ROWS, LABELS),
    ("kl_divergence", ROWS, ROWS[::-1].copy()),
    ("cross_entropy", LOGITS[:9], 1 + LABELS[:9] % 3),  # too few to miss a class
    ("bce_with_logits", PROBS[:2], HAPPENED[:2]),  # too few to say
    ("mse", np.round(SCORES), np.round(SCORES + NOISE)),  # ties, as counts have
    ("bce", np.round(PROBS, 1), HAPPENED),
    ("mse", np.zeros(2), np.ones(2)),
    ("mse", SCORES, np.zeros(N)),  # a residual against 0
]


@pytest.mark.parametrize(("loss", "pred", "target"), RIGHT, ids=[f"{i}: {r[0]}" for i, r in enumerate(RIGHT)])
def test_silent(loss: str, pred: np.ndarray, target: np.ndarray) -> None:
    assert told(loss, pred, target) == []


@pytest.mark.parametrize("seed", range(20))
def test_chance_gives_no_advice(seed: int) -> None:
    """Rows that are equal by chance give no warning, for any number of rows."""
    rng = np.random.default_rng(seed)
    n = int(10 ** rng.uniform(0.7, 4))
    values = int(10 ** rng.uniform(0.5, 4))
    pred, target = rng.integers(0, values, n) * 1.5 + rng.normal(), rng.integers(2, 9, n) * 1.0
    if len(set(pred.tolist())) > 1:
        assert told("mae", pred, target) == []


def test_silent_with_labels_and_weights() -> None:
    """No warning about the first label with --labels, nor about duplicate rows with weights."""
    data = dataset.from_arrays({"pred": LOGITS, "target": 1 + LABELS % 3})
    options = ComputeOptions(labelled=frozenset({"target"}))
    assert advice(data, [get_loss("cross_entropy")], options) == []
    assert told("mse", np.tile(SCORES, 2), np.tile(SCORES + NOISE, 2), weight=np.ones(2 * N)) == []


def test_many_rows_are_not_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    """A digest of each row is stored up to a limit of rows; above, rows are not compared."""
    monkeypatch.setattr("lossctl.analysis.input_profile._ROWS", 2 * N - 1)
    assert told("mse", np.tile(SCORES, 2), np.tile(SCORES + NOISE, 2)) == []
    monkeypatch.setattr("lossctl.analysis.input_profile._ROWS", 2 * N)
    assert told("mse", np.tile(SCORES, 2), np.tile(SCORES + NOISE, 2)) != []


# --- on the command line -----------------------------------------------------------------------------


def written(tmp_path: Path, name: str, header: str, values: Any) -> str:
    path = tmp_path / name
    path.write_text("\n".join([header, *map(repr, map(float, values))]) + "\n", encoding="utf-8")
    return str(path)


@pytest.mark.parametrize(
    ("pred", "target", "swapped"),
    [
        ("labels.csv:y", "model.csv:probs", True),
        ("a.csv:y_true", "b.csv:y_pred", True),
        ("targets.csv:x", "preds.csv:x", True),
        ("preds.csv:x", "targets.csv:x", False),
        ("a.csv:student", "teacher_logits.csv:logit", False),
        ("labels.csv:pred", "model.csv:target", False),
        ("targeted.csv:x", "prediction.csv:x", False),
    ],
)
def test_names_betray_a_swap(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], pred: str, target: str, swapped: bool
) -> None:
    files = [
        written(tmp_path, spec.partition(":")[0], spec.partition(":")[2], values)
        for spec, values in ((pred, SCORES), (target, SCORES + NOISE))
    ]
    assert main(["compute", "mse", *files]) == 0
    assert ("swapped" in capsys.readouterr().err) is swapped


@pytest.fixture
def planted(tmp_path: Path) -> list[str]:
    return ["compute", "mse", *(written(tmp_path, n, n[0], v) for n, v in (("p.csv", PROBS), ("t.csv", HAPPENED)))]


def test_a_note_does_not_change_the_result(planted: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(planted) == 0
    loud = capsys.readouterr()
    assert loud.err.startswith("note: mse is a loss for quantities")
    assert main([*planted, "-q"]) == 0
    quiet = capsys.readouterr()
    assert quiet.err == ""
    assert f"{float(quiet.out):.6g}" in loud.out


@pytest.mark.parametrize("more", [[], ["-q"], ["-f", "json"]])
def test_strict_makes_it_an_error(planted: list[str], capsys: pytest.CaptureFixture[str], more: list[str]) -> None:
    assert main([*planted, "--strict", *more]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("lossctl: mse is a loss for quantities")
    assert said.err.count("\n") == 1


def test_strict_knows_the_outlier(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With --strict a dominant sample is an error, other notes are not."""
    far = SCORES.copy()
    far[7] = 1e6
    files = [written(tmp_path, "a.csv", "p", far), written(tmp_path, "b.csv", "t", SCORES + NOISE)]
    assert main(["compute", "mse", *files, "--strict"]) == 2
    assert "sample 7 " in capsys.readouterr().err
    near = written(tmp_path, "c.csv", "p", SCORES)
    assert main(["breakdown", "rmse", near, files[1], "--strict"]) == 0
    assert "the loss of a sample is" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["breakdown mse {p} {t}", "breakdown mse {p} {t} --all", "compare mse {p} {q} {t}"])
def test_told_by_every_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    """All commands give the advice of compute; -q silences it, --strict makes it an error."""
    monkeypatch.setattr("lossctl.engine.run.BLOCK", 64)
    files = {n: written(tmp_path, n, n, v) for n, v in (("p.csv", PROBS), ("q.csv", PROBS / 2), ("t.csv", HAPPENED))}
    words = command.format(p=files["p.csv"], q=files["q.csv"], t=files["t.csv"]).split()
    assert main(words) == 0
    loud = capsys.readouterr()
    assert [line for line in loud.err.splitlines() if line.startswith("note: mse is a loss for quantities")]
    assert main([*words, "-q"]) == 0
    assert capsys.readouterr().err == ""
    assert main([*words, "--strict", "-q"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("lossctl: mse is a loss for quantities")


@pytest.mark.parametrize("place", [0, N - 1])
def test_every_block_is_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], place: int
) -> None:
    """One target other than 0 and 1 in any block removes the warning."""
    monkeypatch.setattr("lossctl.engine.run.BLOCK", 64)
    quantities = HAPPENED.copy()
    quantities[place] = 0.5
    p, t = written(tmp_path, "p.csv", "p", PROBS), written(tmp_path, "t.csv", "t", quantities)
    for words in (["breakdown", "mse", p, t], ["compare", "mse", p, p, t]):
        assert main(words) == 0
        assert capsys.readouterr().err == ""


def test_what_a_sample_carries_is_weighed() -> None:
    """The dominant sample has the largest w·loss, not the largest loss."""
    found = api.compute("mae", [1.0, 5.0, 2.0], [0.0, 0.0, 0.0], weight=[100.0, 1.0, 1.0])
    assert (found.top, found.argmax) == (0, 1)
    assert found.top_share == pytest.approx(100 / 107)


def test_the_model_that_is_meant_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A warning about one model names it; a warning about all models is shown once, without a name."""
    files = [
        written(tmp_path, n, n[0], v) for n, v in (("a.csv", SCORES), ("b.csv", np.full(N, 2.5)), ("t.csv", NOISE))
    ]
    assert main(["compare", "mse,mae", *files]) == 0
    assert capsys.readouterr().err == "note: b: every prediction is the same: is it the right column?\n"
    assert main(["compare", "mse", files[1], files[1], files[2]]) == 0
    assert capsys.readouterr().err.count("every prediction is the same") == 1


def test_an_interval_that_hangs_on_few_samples(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A warning (with --strict an error); for few samples, only the warning that there are few."""
    far = SCORES.copy()
    far[7] += 1e3
    words = []
    for end in (N, 12):
        named = (("a.csv", SCORES + NOISE), ("b.csv", far), ("t.csv", SCORES - NOISE[::-1]))
        words.append(["compare", "mse", *(written(tmp_path, f"{end}{n}", n[0], v[:end]) for n, v in named)])
    note = "mse: a few samples make most of the spread of the difference of 400b to 400a: its interval"
    assert main(words[0]) == 0
    assert capsys.readouterr().err.startswith(f"note: {note}")
    assert main([*words[0], "--strict"]) == 2
    assert capsys.readouterr().err.startswith(f"lossctl: {note}")
    assert main(words[1]) == 0
    assert capsys.readouterr().err == "note: 12 samples are few: intervals and tests are not reliable\n"


@pytest.mark.parametrize(
    ("loss", "options"),
    [
        ("mse", "-p a -t b"),
        ("mae,huber:delta=2", "--pred a --target b --decimal . --no-progress --threads 1"),
        ("huber", "-p a -t b -w w -P delta=3 --nan skip --na-values NA --na-values none"),
        ("samples/my_losses.py:cubic", "-p @1 -t @2 --header"),
    ],
)
def test_the_command_that_a_note_ends_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], loss: str, options: str
) -> None:
    """The command in the note has the same input and options, and shows the sample first."""
    monkeypatch.chdir(ROOT)
    (tmp_path / "my file.csv").write_text("a,b,w\n" + "".join(f"{i % 3},1,2\n" for i in range(40)) + "1e5,1,2\n")
    words = shlex.split(options)
    assert main(["compute", loss, f"{tmp_path}/my file.csv", *words, "-f", "json"]) == 0
    said = capsys.readouterr()
    commands = re.findall("; see: lossctl (breakdown .*) with the same input and options$", said.err, re.MULTILINE)
    assert len(commands) == len(loss.split(","))
    for command, value in zip(commands, json.loads(said.out)["losses"], strict=True):
        assert main([*shlex.split(command), f"{tmp_path}/my file.csv", *words, "-f", "json"]) == 0
        found = json.loads(capsys.readouterr().out)
        assert (found["loss"], found["value"]) == (value["loss"], value["value"])
        assert found["worst"][0]["sample"] == 40


@pytest.mark.parametrize(
    "command",
    [
        line
        for line in readme.blocks((ROOT / "samples" / "README.md").read_text(encoding="utf-8"), "sh")[0].splitlines()
        if line.startswith("lossctl compute")
    ],
)
@pytest.mark.slow
def test_silent_on_the_samples(command: str) -> None:
    """The files in samples/, used correctly, give no warning."""
    own = command.partition("#")[0].replace("lossctl", f"{sys.executable} -m lossctl")
    done = subprocess.run(
        ["sh", "-c", f"{own} --strict"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "line",
    [
        "breakdown mse samples/diabetes_preds.csv samples/diabetes_targets.csv",
        "breakdown bce samples/cancer.csv -p prob -t label --by label",
        "compare mse,mae samples/diabetes.csv -p ridge -p forest -t target",
        "compare bce samples/cancer_probs.csv samples/cancer_probs.npy samples/cancer_targets.csv",
    ],
)
def test_silent_in_every_command(monkeypatch: pytest.MonkeyPatch, line: str) -> None:
    monkeypatch.chdir(ROOT)
    assert main([*line.split(), "--strict", "-q"]) == 0


# --- where it is illegal, the error names the likely cause -------------------------------------------


@pytest.mark.parametrize(
    ("loss", "pred", "target", "cause"),
    [
        ("bce", SCORES - 10, HAPPENED, "are they logits[?] bce_with_logits takes logits"),
        ("bce", 100 * PROBS + 1, HAPPENED, "divide percentages by 100"),
        ("categorical_cross_entropy", LOGITS, np.eye(4)[LABELS], "are they logits[?] softmax_cross_entropy takes"),
        ("nll", LOGITS + 9, LABELS, "are they logits[?] normalize=True"),
        ("bce", PROBS, 2 * HAPPENED - 1, "for labels -1 and [+]1, add labels=[(]-1, 1[)]"),
        ("hinge", SCORES, HAPPENED, "for 0/1 or named labels, add labels=[(]NEG, POS[)]"),
        ("categorical_cross_entropy", ROWS * 1.01, np.eye(4)[LABELS], "normalize=True .* sum_tolerance"),
        ("cross_entropy", LOGITS, 1 + np.arange(N) % 4, "start at 1, add labels=[(]1, 2, …[)]"),
    ],
)
def test_the_likely_cause(loss: str, pred: np.ndarray, target: np.ndarray, cause: str) -> None:
    with pytest.raises(DataError, match=cause):
        api.compute(loss, pred, target)


def test_no_cause_is_made_up() -> None:
    """No likely cause is suggested for NaN and infinity."""
    for value in (np.nan, np.inf):
        bad = PROBS.copy()
        bad[3] = value
        with pytest.raises(DataError) as error:
            api.compute("bce", bad, HAPPENED)
        assert "are they" not in str(error.value)
        assert "percent" not in str(error.value)


@pytest.mark.parametrize(
    ("line", "advised"),
    [
        ("mse scored.csv -p a -t a", "predictions and targets are the same column 'a'"),
        ("mse scored.csv -p a -t b", None),
        ("mse a.npy a.npy", "predictions and targets are the same array"),
        ("mse a.npy b.npy", None),
        ("mse ab.npy -p @1 -t @2", None),
        ("zero_one:threshold=0 scored.csv -p a -t c", None),
        ("zero_one scored.csv -p a -t c", "zero_one:threshold=0"),
    ],
)
def test_one_column_twice_and_scores_as_decisions(
    line: str, advised: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "scored.csv").write_text("a,b,c\n-1.5,2,0\n0.4,3,1\n2.5,-1,1\n")
    np.save("a.npy", np.array([1.0, 2.0, 4.0]))
    np.save("b.npy", np.array([1.0, 2.5, 3.0]))
    np.save("ab.npy", np.array([[1.0, 2.0], [2.0, 2.5]]))
    assert main(["compute", *line.split()]) == 0
    err = capsys.readouterr().err
    assert (advised in err) if advised else err == ""
