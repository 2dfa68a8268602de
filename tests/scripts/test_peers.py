"""The table of losses of other libraries (peers.toml) names losses of lossctl that exist."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from shares import EXPORTS, Peer, peers

from lossctl import get_loss
from lossctl.core.registry import registered
from lossctl.errors import UsageError

SCRIPTS = Path(__file__).parent
GOLDEN = SCRIPTS.parent / "losses" / "golden"
PEERS = peers()


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.name)
def test_what_a_peer_has_is_here_or_the_reason_is_told(peer: Peer) -> None:
    assert set(peer.has.values()) <= set(registered())
    assert all(reason.strip() for reason in (*peer.lacks.values(), *peer.other.values()))
    names = [*peer.has, *peer.lacks, *peer.other]
    assert len(names) == len(set(names))
    # A reason may name the closest loss of lossctl, which must exist.
    losses = set(registered())
    for word in re.findall(r"\b[a-z]+(?:_[a-z]+)+\b", " ".join(peer.lacks.values())):
        assert word in losses, word


def test_a_name_that_is_no_loss_would_be_seen() -> None:
    with pytest.raises(AssertionError):
        test_what_a_peer_has_is_here_or_the_reason_is_told(Peer("a", "1", {"L1Loss": "l1loss"}, {}, {}))


def test_every_peer_can_be_asked_what_it_has() -> None:
    assert [peer.name for peer in PEERS] == list(EXPORTS)


def test_versions_are_those_of_the_golden_values() -> None:
    """The versions in peers.toml and in the golden values are the same."""
    records = [r for path in GOLDEN.glob("*.json") for r in json.loads(path.read_text(encoding="utf-8"))]
    versions = {record["library"].replace("-", "_"): record["version"] for record in records}
    modules = {"sklearn": "scikit_learn"}
    for peer in PEERS:
        package = peer.name.partition(".")[0]
        package = modules.get(package, package)
        assert versions.get(package, peer.version) == peer.version


def test_the_command_prints_a_share_for_each() -> None:
    done = subprocess.run([sys.executable, SCRIPTS / "shares.py"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr + done.stdout
    lines = done.stdout.splitlines()
    assert len(lines) == len(PEERS)
    assert all(re.search(r"\d+ of \d+ \(\d+ %\)", line) for line in lines)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        *(("l1", "mae"), ("logloss", "bce"), ("xent", "sparse_softmax_cross_entropy"), ("iou", "jaccard")),
        *(("softmax-ce", "softmax_cross_entropy"), ("bce_logits", "bce_with_logits"), ("nllloss", "nll")),
        *(("crossentropy", "sparse_softmax_cross_entropy"), ("l1_loss", "mae"), ("smoothl1", "smooth_l1")),
        *(("kldiv", "kl_divergence"), ("MSELoss", "mse"), ("BCEWithLogitsLoss", "bce_with_logits")),
        *(("sparse_categorical_crossentropy", "sparse_categorical_cross_entropy"), ("dice_loss", "dice")),
        *(("mean_pinball_loss", "quantile"), ("wasserstein", "wasserstein_1d"), ("jsd", "js_divergence")),
    ],
)
def test_a_name_from_elsewhere_finds_the_loss(written: str, meant: str) -> None:
    """The name is an alias, or the first suggestion of the error."""
    try:
        found = get_loss(written)
    except UsageError as error:
        found = get_loss(str(error).partition("did you mean '")[2].partition("'")[0])
    assert found.name == meant


# These names find losses of probabilities and rates, where torch takes logarithms; `info` says so.
LOGARITHMS = {"KLDivLoss": "kl_divergence", "PoissonNLLLoss": "poisson_nll"}


@pytest.mark.parametrize("name", [n for n in PEERS[0].has if n != "TripletMarginWithDistanceLoss"])
def test_a_class_of_torch_finds_its_loss(name: str) -> None:
    test_a_name_from_elsewhere_finds_the_loss(name, LOGARITHMS.get(name, PEERS[0].has[name]))
