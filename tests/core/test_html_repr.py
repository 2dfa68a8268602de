"""Results in a notebook: HTML with the numbers of the result, in which names are text."""

from __future__ import annotations

from html.parser import HTMLParser

import numpy as np

import lossctl
from lossctl.core.html_repr import html_of


def tags(text: str) -> list[str]:
    read: list[str] = []
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, attrs: read.append(tag)  # type: ignore[method-assign]
    parser.feed(text)
    return read


def test_a_loss_shows_its_numbers() -> None:
    text = lossctl.compute("rmse", [1.0, 2.0], [2.0, 4.0])._repr_html_()
    assert "<p>rmse · mean · 2 samples</p>" in text
    assert "<td>1.58114</td>" in text
    assert "<td>2</td><td>1</td></tr>" in text
    assert lossctl.compute("mse", [1.0], [2.0])._repr_html_().count("–") == 1  # no standard error of one sample


def test_a_failed_gradient_shows_its_hint() -> None:
    def half(pred, target):
        return (pred - target) ** 2, pred - target

    result = lossctl.gradcheck(half)
    text = result._repr_html_()
    assert "<td>FAIL</td>" in text
    assert "a factor of 2 is missing" in text
    assert "<pre>" not in lossctl.gradcheck("mse")._repr_html_()


def test_an_output_shows_its_verdict() -> None:
    pred, target = np.arange(4.0), np.zeros(4)
    text = lossctl.verify("mse", pred, target, grad=2 * pred)._repr_html_()
    assert "<td>exact</td>" in text


def test_names_are_text() -> None:
    hostile = "<script>alert(1)</script>\x1b[31m"
    assert tags(html_of(hostile, {hostile: hostile}, hostile)) == ["p", "table", "tr", "th", "tr", "td", "pre"]
    assert "\x1b" not in html_of(hostile, {hostile: hostile}, hostile)
