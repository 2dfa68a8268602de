"""Gradients of PyTorch 2.13 in low precision, judged against the registered losses."""

from __future__ import annotations

import numpy as np
import pytest

import lossctl

LOGITS, LABELS = [[9.0, -3.0, 0.5], [0.25, 1.0, -2.0], [-7.0, 8.0, 6.0]], [0, 2, 1]
# x = torch.tensor(LOGITS, dtype=…, requires_grad=True)
# The gradient of F.cross_entropy(x, torch.tensor(LABELS), reduction="sum"), as x.grad.double().tolist()
SOFTMAX_FLOAT32 = [
    [-0.00020962953567504883, 6.14292366662994e-06, 0.0002034256758634001],
    [0.31032776832580566, 0.6569639444351196, -0.9672917127609253],
    [2.6943777697852056e-07, -0.11920320987701416, 0.1192028820514679],
]
# The inputs in bfloat16; F.huber_loss(x, t, reduction="sum").backward(), in bfloat16
PRED = [
    -0.1259765625,
    1.5,
    0.30078125,
    2.25,
    -0.7109375,
    0.020263671875,
    0.4296875,
    -0.033203125,
    0.0076904296875,
    0.91015625,
    -0.181640625,
]
TARGET = [
    -0.057861328125,
    1.25,
    0.10009765625,
    0.5,
    0.030029296875,
    0.01007080078125,
    0.0169677734375,
    0.0023040771484375,
    0.00213623046875,
    0.045654296875,
    0.0390625,
]
HUBER_BFLOAT16 = [
    -0.068359375,
    0.25,
    0.201171875,
    1.0,
    -0.7421875,
    0.01019287109375,
    0.412109375,
    -0.035400390625,
    0.00555419921875,
    0.86328125,
    -0.220703125,
]


def test_a_float32_softmax_row_is_right_to_ulps_of_its_terms_and_wrong_beyond() -> None:
    right = np.float32(SOFTMAX_FLOAT32)
    assert lossctl.gradcheck("sparse_softmax_cross_entropy", LOGITS, LABELS, grad=right)
    assert not lossctl.gradcheck("sparse_softmax_cross_entropy", LOGITS, LABELS, grad=np.float32(0.999) * right)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_few_bfloat16_numbers_are_seen_where_the_reference_is_rounded_to_them(dtype: str) -> None:
    right = np.array(HUBER_BFLOAT16, dtype)
    result = lossctl.gradcheck("huber", PRED, TARGET, grad=right)
    assert result.passed
    assert "bfloat16" in result.method
    assert "cannot show an error of 0.1%" in result.method
    assert not lossctl.gradcheck("huber", PRED, TARGET, grad=np.array(0.999, dtype) * right)


def test_infinity_is_right_only_beyond_the_largest_number() -> None:
    pred, target = [1.8477439880371094e-06, 0.5], [0.99951171875, 0.0]
    assert lossctl.gradcheck("bce", pred, target, grad=np.float16([-np.inf, 2.0]))
    assert not lossctl.gradcheck("bce", pred, target, grad=np.float16([np.inf, 2.0]))
    assert not lossctl.gradcheck("bce", pred, target, grad=np.float32([-np.inf, 2.0]))


def test_a_rate_next_to_its_count_has_the_rounding_of_one() -> None:
    # F.poisson_nll_loss(x, t, log_input=False, eps=0.0, reduction="sum").backward(), in float32
    given = np.float32([-0.0007575750350952148])
    assert lossctl.gradcheck("poisson_nll", [21.406343460083008], [21.422561645507812], grad=given)
