"""Fit a line to points of which some are outliers, by gradient descent under three losses.

    python samples/gradient_descent.py

A step of training, by hand: the prediction, its loss, the gradient of the loss with respect to the
prediction (that is what lossctl gives), from it by the chain rule the gradient with respect to the
slope and the intercept, and a step against that. Nothing but the loss differs between the fits.
"""

# mypy: allow-untyped-defs
# (a script, as a user writes it)

import numpy as np

import lossctl

SLOPE, INTERCEPT = 2.0, 1.0  # the line that the points lie on, but for noise and outliers
STEPS, RATE = 3000, 0.1


def points():
    """60 points around the line, of which every tenth reads 15 too high."""
    rng = np.random.default_rng(0)
    x = np.linspace(-1.0, 2.0, 60)
    y = SLOPE * x + INTERCEPT + rng.normal(scale=0.3, size=60)
    y[5::10] += 15.0
    return x, y


def fit(loss, x, y):
    """The slope and the intercept that the loss leads to, from 0 and 0, and its mean at every step."""
    slope = intercept = 0.0
    history = []
    for step in range(STEPS):
        pred = slope * x + intercept
        history.append(loss.value(pred, y).mean())
        # d mean(loss) / d pred[i]: each sample's own gradient, divided by how many there are.
        g = loss.gradient(pred, y) / len(y)
        # The chain rule: pred depends on the slope through x, and on the intercept directly.
        d_slope, d_intercept = (g * x).sum(), g.sum()
        # Smaller and smaller steps: the gradient of mae does not shrink near its minimum, so the steps must.
        rate = RATE / (1.0 + step / 300.0)
        slope -= rate * d_slope
        intercept -= rate * d_intercept
    return slope, intercept, history


def main():
    """Fit under each loss, and show what became of it."""
    x, y = points()
    print(f"the line: slope {SLOPE:.2f}, intercept {INTERCEPT:.2f}; {len(x)} points, every tenth 15 too high\n")
    print("loss          slope   intercept   first loss   last loss   largest |gradient|")
    for spec in ("mse", "mae", "huber:delta=1"):
        loss = lossctl.get_loss(spec)
        slope, intercept, history = fit(loss, x, y)
        largest = np.abs(loss.gradient(slope * x + intercept, y)).max()
        told = f"{slope:6.2f}   {intercept:9.2f}   {history[0]:10.2f}   {history[-1]:9.2f}   {largest:18.2f}"
        print(f"{spec:13} {told}")
    print(
        "\nThe gradient of mse grows with the error, and so six points pull the line up to themselves. That of mae\n"
        "and huber is at most 1 (delta): an outlier pulls no harder than any other point on its side."
    )


if __name__ == "__main__":
    main()
