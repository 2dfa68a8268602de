"""Trials: JAX's value_and_grad of functions of one sample, as functions of NumPy arrays.

JAX computes in float32 unless it is asked not to.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np
from gradients.trials import truths
from gradients.trials.record import DATA, right, wrong

from lossctl import Label, Logits, Probability, Real, Sign
from lossctl.core.array_kinds import Direction, HardMask, Mask
from lossctl.core.input_kinds import Count


def jaxed(function: Callable[..., Any], x64: bool = True) -> Callable[..., Any]:
    """A function of one sample as one of arrays of samples, with its gradient."""
    compiled: list[Any] = []

    @wraps(function)
    def of_arrays(*arrays: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        import jax

        if not compiled:
            compiled.append(jax.jit(jax.vmap(jax.value_and_grad(function))))
        with jax.enable_x64(x64):
            loss, gradient = compiled[0](*(np.array(a) for a in arrays))
            return np.asarray(loss), np.asarray(gradient)

    return of_arrays


def in_float32(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same, as it comes: in float32."""
    return jaxed(function, x64=False)


# --- right ---


@right(truths.square, "real", needs="jax", mistake="float32", loses_digits=True)
@in_float32
def jax_mse_float32(pred: Real, target: Real):
    return (pred - target) ** 2


@right(truths.bce_logits, "logit", needs="jax", mistake="float32", loses_digits=True)
@in_float32
def jax_bce_float32(pred: Real, target: Probability):
    import jax

    return jax.nn.softplus(pred) - target * pred


@right(truths.cross_entropy, "logits", needs="jax", mistake="float32", loses_digits=True)
@in_float32
def jax_cross_entropy_float32(pred: Logits, target: Label):
    import jax

    return -jax.nn.log_softmax(pred)[target.astype(int)]


@right(truths.log_cosh, "real", needs="jax", mistake="float32", loses_digits=True)
@in_float32
def jax_log_cosh_float32(pred: Real, target: Real):
    import jax.numpy as jnp

    r = pred - target
    return jnp.logaddexp(r, -r) - jnp.log(2.0)


@right(truths.square, "real", needs="jax")
@jaxed
def jax_mse(pred: Real, target: Real):
    return (pred - target) ** 2


@right(truths.HUBER, "real", needs="jax")
@jaxed
def jax_huber(pred: Real, target: Real):
    import jax.numpy as jnp

    # as optax.huber_loss
    a = jnp.abs(pred - target)
    q = jnp.minimum(a, 1.0)
    return 0.5 * q**2 + (a - q)


@right(truths.bce_logits, "logit", needs="jax", mistake="cancels")
@jaxed
def jax_bce(pred: Real, target: Probability):
    import jax

    # as optax.sigmoid_binary_cross_entropy
    return -target * jax.nn.log_sigmoid(pred) - (1 - target) * jax.nn.log_sigmoid(-pred)


@right(truths.cross_entropy, "logits", needs="jax", mistake="cancels", loses_digits=True)
@jaxed
def jax_cross_entropy(pred: Logits, target: Label):
    import jax

    return jax.nn.logsumexp(pred) - pred[target.astype(int)]


@right(truths.poisson_log, "log_count", needs="jax", mistake="cancels")
@jaxed
def jax_poisson(pred: Real, target: Count):
    import jax.numpy as jnp

    return jnp.exp(pred) - target * pred


@right(truths.hinge, "margin", needs="jax")
@jaxed
def jax_hinge(pred: Real, y: Sign):
    import jax

    return jax.nn.relu(1 - y * pred)


@right(truths.cosine, "vectors", needs="jax", mistake="digits", loses_digits=True)
@jaxed
def jax_cosine(a: Direction, b: Direction):
    import jax.numpy as jnp

    return 1 - jnp.dot(a, b) / (jnp.linalg.norm(a) * jnp.linalg.norm(b))


@right(truths.jaccard, "masks", needs="jax", mistake="digits", loses_digits=True)
@jaxed
def jax_iou(p: Mask, t: HardMask):
    both = (p * t).sum()
    return 1 - (both + 1) / (p.sum() + t.sum() - both + 1)


@right(truths.pseudo_huber, "real", needs="jax", mistake="digits", loses_digits=True)
@jaxed
def jax_pseudo_huber(pred: Real, target: Real):
    import jax.numpy as jnp

    return jnp.sqrt(1 + (pred - target) ** 2) - 1


# --- wrong ---


@wrong(truths.absolute, "real_ties", "NaN", r"nan|not a number|undefined", needs="jax")
@jaxed
def jax_where_nan(pred: Real, target: Real):
    import jax.numpy as jnp

    r = pred - target
    return jnp.where(r == 0, 0.0, jnp.sqrt(r * r))


@wrong(truths.softmax_focal, "logits", "stop_gradient", "", needs="jax")
@jaxed
def jax_focal_stopped(pred: Logits, target: Label):
    import jax
    import jax.numpy as jnp

    ce = -jax.nn.log_softmax(pred)[target.astype(int)]
    return jax.lax.stop_gradient((1 - jnp.exp(-ce)) ** 2) * ce


@wrong(truths.cross_entropy_warm, "logits", "temperature", r"temperature|\b4\b", needs="jax")
@jaxed
def jax_custom_vjp_temperature(pred: Logits, target: Label):
    import jax
    import jax.numpy as jnp

    @jax.custom_vjp
    def loss(z, y):
        return jax.nn.logsumexp(z / 4) - z[y] / 4

    def forward(z, y):
        return loss(z, y), (z, y)

    def backward(kept, up):
        z, y = kept
        return up * (jax.nn.softmax(z / 4) - jax.nn.one_hot(y, z.shape[0], dtype=jnp.float64)), None

    loss.defvjp(forward, backward)
    return loss(pred, target.astype(int))


@wrong(truths.square, "real", "detached", r"zero|\b0\b|constant|whole", needs="jax")
@jaxed
def jax_all_stopped(pred: Real, target: Real):
    import jax

    return (jax.lax.stop_gradient(pred) - target) ** 2 + 0 * pred


@wrong(truths.square, "real", "factor", r"0\.5|half|\b2\b", needs="jax")
@jaxed
def jax_half_stopped(pred: Real, target: Real):
    import jax

    return (jax.lax.stop_gradient(pred) - target) * (pred - target)


@wrong(truths.BCE_CLIP_2, "probability", "straight through", r"clip|flat|zero", needs="jax", seen_at=("trained",))
@jaxed
def jax_bce_clip_straight_through(pred: Probability, target: Probability):
    import jax
    import jax.numpy as jnp

    q = pred + jax.lax.stop_gradient(jnp.clip(pred, 0.01, 0.99) - pred)
    return -target * jnp.log(q) - (1 - target) * jnp.log(1 - q)


@wrong(truths.HUBER, "real", "detached", r"", needs="jax", seen_at=(DATA,))
@jaxed
def jax_huber_stopped_branch(pred: Real, target: Real):
    import jax
    import jax.numpy as jnp

    a = jnp.abs(pred - target)
    return jnp.where(a <= 1, 0.5 * a**2, jax.lax.stop_gradient(a - 0.5))
