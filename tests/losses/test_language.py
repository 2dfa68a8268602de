"""Losses of language models against their definitions, as evaluations and trainers report them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import lossctl
from lossctl.cli.app import main

LOGS, BYTES = np.array([-100.0, -20.0]), np.array([300.0, 40.0])


def test_the_denominator_is_in_the_name() -> None:
    """Perplexity and bits divide by the units of all documents, not document by document."""
    assert float(lossctl.compute("byte_perplexity", LOGS, BYTES)) == pytest.approx(np.exp(120 / 340))
    assert float(lossctl.compute("bits_per_byte", LOGS, BYTES)) == pytest.approx(120 / 340 / np.log(2))
    assert float(lossctl.compute("token_perplexity", LOGS, [1, 1])) == pytest.approx(np.exp(60))


def test_groups_of_tokens() -> None:
    """The normalisers of GRPO and DAPO are weights of the tokens (n, t); the mask leaves padding out."""
    rng = np.random.default_rng(0)
    now, before = rng.normal(size=(2, 3, 4))
    gain, length = np.array([1.0, -0.5, 2.0]), np.array([4, 2, 1])
    mask = (np.arange(4) < length[:, None]).astype(float)
    now[mask == 0] = np.nan  # padding holds anything
    ratio = np.exp(now - before)
    each = -np.minimum(ratio * gain[:, None], np.clip(ratio, 0.8, 1.2) * gain[:, None])
    each = np.where(mask > 0, each, 0.0)

    def value(weight: np.ndarray) -> float:
        advantage = np.repeat(gain[:, None], 4, axis=1)
        return float(lossctl.compute("grpo", now, before, inputs={"advantage": advantage}, weight=weight))

    assert value(mask) == pytest.approx(each.sum() / mask.sum())
    assert value(mask / length[:, None]) == pytest.approx((each.sum(axis=1) / length).mean())


def test_a_file_of_pairs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """JSON lines with log-probabilities of answers are read as they are."""
    file = tmp_path / "pairs.jsonl"
    file.write_text('{"chosen": -10.0, "rejected": -12.0, "ref_chosen": -11.0, "ref_rejected": -11.5}\n')
    words = ["-p", "chosen", "-t", "rejected", "--input", "reference_chosen=ref_chosen"]
    assert main(["compute", "dpo", str(file), *words, "--input", "reference_rejected=ref_rejected", "-q"]) == 0
    assert float(capsys.readouterr().out) == pytest.approx(np.log1p(np.exp(-0.1 * 1.5)))


@pytest.mark.parametrize("spec", ["kl_estimator", "kl_estimator:estimator=k1", "kl_estimator:estimator=k2"])
def test_estimators_agree_in_the_mean(spec: str) -> None:
    """Over tokens drawn from the policy, k1 and k3 estimate the divergence, and k2 nearly so."""
    rng = np.random.default_rng(0)
    p, q = np.array([0.5, 0.3, 0.2]), np.array([0.45, 0.35, 0.2])
    drawn = rng.choice(3, 100_000, p=p)
    exact = float((p * np.log(p / q)).sum())
    assert float(lossctl.compute(spec, np.log(p)[drawn], np.log(q)[drawn])) == pytest.approx(exact, rel=0.1)
