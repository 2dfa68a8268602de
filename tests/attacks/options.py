"""Attacks with options that cannot act: every option changes the result or is refused, on every format and loss."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from attacks.harness import attack, run

import lossctl
from lossctl.cli.options import ComputationOptions, InputOptions
from lossctl.core.input_kinds import LogProbabilitiesKind, ProbabilitiesKind
from lossctl.core.loss import Loss
from lossctl.core.registry import registered
from lossctl.errors import LossctlError
from lossctl.io.formats import FORMATS

# A value of each option that must change the result of TABLE or be refused.
GIVEN = {
    "pred": ["-p", "z"],
    "target": ["-t", "z"],
    "weight": ["-w", "z"],
    "inputs": ["--input", "scale=z"],
    "on": ["--on", "z"],
    "join": ["--join", "z"],
    "where": ["--where", "z!=1"],
    "clip": ["--clip", "0.1"],
    "labels": ["--labels", "1,2"],
    "delimiter": ["--delimiter", "|"],
    "header": ["--no-header"],
    "header_of": ["--header-of", "nonsense.csv"],
    "encoding": ["--encoding", "utf-16"],
    "decimal": ["--decimal", ","],
    "na_values": ["--na-values", "0.5"],
    "thousands": ["--thousands", "."],
    "allow_negative_weights": ["--allow-negative-weights"],
    "input_format": ["--input-format", "nonsense"],
    "param": ["--param", "delta=2"],
    "framework": ["--framework", "torch"],
    "nan": ["--nan", "nonsense"],
    "sum_tolerance": ["--sum-tolerance", "1e-9"],
    "normalize": ["--normalize"],
    "class_axis": ["--class-axis", "2"],
    "class_weight": ["--class-weight", "1,2"],
    "ignore_index": ["--ignore-index", "1"],
    "allow_mixed": ["--allow-mixed"],
}
# Options that must not change a result.
WITHOUT_EFFECT = {"threads", "cluster", "no_progress"}
TABLE = {"p": [0.5, 0.25, 0.75], "t": [1.0, 0.0, 1.0], "z": [1.0, 3.0, 2.0]}


def table(form: str) -> str:
    """Write TABLE in a format; return the name of the file."""
    frame, name = pl.DataFrame(TABLE), f"p.{form}"
    text = {"csv": ",", "tsv": "\t", "txt": " "}
    if form in text:
        frame.write_csv(name, separator=text[form])
    elif form in ("ndjson", "jsonl"):
        frame.write_ndjson(name)
    elif form == "json":
        frame.write_json(name)
    elif form == "parquet":
        frame.write_parquet(name)
    elif form in ("arrow", "feather"):
        frame.write_ipc(name)
    elif form == "npz":
        np.savez(name, **{key: np.array(column) for key, column in TABLE.items()})  # type: ignore[arg-type]
    elif form == "safetensors":
        head = {
            key: {"dtype": "F64", "shape": [3], "data_offsets": [24 * i, 24 * i + 24]} for i, key in enumerate(TABLE)
        }
        start = json.dumps(head).encode()
        data = np.array(list(TABLE.values())).tobytes()
        Path(name).write_bytes(len(start).to_bytes(8, "little") + start + data)
    else:
        np.save(name, frame.to_numpy())
    return name


@attack("options", *FORMATS)
def an_option_that_no_file_of_the_format_needs(folder: Path, form: str) -> None:
    file = table(form)
    columns = ["-p", "@1", "-t", "@2"] if form == "npy" else ["-p", "p", "-t", "t"]
    before = run("compute", "mse", file, *columns, "-f", "csv")
    assert before.code == 0, before
    for words in GIVEN.values():
        after = run("compute", "mse", file, *columns, *words, "-f", "csv")
        if after.code == 0:
            assert after.out != before.out, f"{' '.join(words)} is ignored"
        else:
            after.refused()


VALUES: dict[str, Any] = {
    "normalize": True,
    "sum_tolerance": 1e-9,
    "class_axis": 5,
    "class_weight": (1.0, 2.0, 5.0),
    "ignore_index": 1,
}


@attack("options", *VALUES)
def an_option_that_the_loss_cannot_use(folder: Path, option: str) -> None:
    """On rows of probabilities that sum to 1.0004, each option changes the loss or is refused."""
    ignored = [name for name, loss in registered().items() if not any(_acts(loss, option, seed) for seed in range(5))]
    assert not ignored


def _acts(loss: Loss, option: str, seed: int) -> bool:
    """Return whether an option changes the loss at random points or is refused; True if the points are invalid."""
    rng = np.random.default_rng(seed)
    dims = dict.fromkeys((axis for spec in loss.inputs for axis in spec.kind.core), 3)
    arrays = {}
    for role, spec in zip(loss.roles, loss.inputs, strict=True):
        sample = np.asarray(spec.kind.sample(rng, 6, dims))
        if isinstance(spec.kind, LogProbabilitiesKind):
            sample = sample + np.log(1.0004) * (sample < -0.001)
        elif isinstance(spec.kind, ProbabilitiesKind):
            sample = sample * np.where(sample < 0.999, 1.0004, 1.0)
        arrays[role] = sample
    if option == "ignore_index":
        arrays["target"] = np.concatenate([np.ones_like(arrays["target"][:1]), arrays["target"][1:]])
    try:
        before = float(lossctl.compute(loss.name, **_arguments(arrays)))
        return before != float(lossctl.compute(loss.name, **_arguments(arrays), **{option: VALUES[option]}))
    except LossctlError:
        return True


def _arguments(arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    named = {role: arrays[role] for role in ("pred", "target") if role in arrays}
    others = {role: array for role, array in arrays.items() if role not in named}
    return named | ({"inputs": others} if others else {})


@attack("options")
def an_option_that_this_table_lacks(folder: Path) -> None:
    names = {f.name for group in (InputOptions, ComputationOptions) for f in fields(group)}
    assert names == set(GIVEN) | WITHOUT_EFFECT


@attack("options", "mse", "bce")
def a_class_axis_without_classes(folder: Path, loss: str) -> None:
    np.save("p.npy", np.full((1, 2, 2, 2), 0.5))
    np.save("t.npy", np.ones((1, 2, 2, 2)))
    run("compute", loss, "p.npy", "t.npy", "--class-axis", "1").refused("--class-axis", loss)


@attack("options", "0", "4", "-4")
def a_class_axis_that_images_lack(folder: Path, axis: str) -> None:
    np.save("p.npy", np.full((1, 2, 2, 2), 0.5))
    run("compute", "dice", "p.npy", "p.npy", "--class-axis", axis).refused("axes 1 to 3")


@attack("options", "0", "2", "-2")
def a_class_axis_that_rows_lack(folder: Path, axis: str) -> None:
    np.save("p.npy", np.eye(3))
    np.save("t.npy", np.arange(3))
    run("compute", "sparse_softmax_cross_entropy", "p.npy", "t.npy", "--class-axis", axis).refused("only axis 1")


@attack("exit codes", *FORMATS)
def every_command_on_every_format(folder: Path, form: str) -> None:
    """Of the formats some have no lines, which tables of samples show."""
    file = table(form)
    pred, target, third = ("@1", "@2", "@3") if form == "npy" else ("p", "t", "z")
    for words in (
        ("compute", "mse"),
        ("breakdown", "mse"),
        ("breakdown", "mse", "--all", "-f", "csv"),
        ("compare", "mse", "-p", third),
        ("grad", "mse"),
        ("plot", "mse"),
        ("gradcheck", "mse"),
    ):
        ended = run(*words, file, "-p", pred, "-t", target)
        assert (ended.code, bool(ended.out)) == (0, True), (words, ended)
    if form != "npy":
        for words in (("gradcheck", "mse", "--grad", "z"), ("verify", "mse", "--value", "z")):
            ended = run(*words, file, "-p", pred, "-t", target)
            assert (ended.code, bool(ended.out)) == (1, True), (words, ended)
