"""Losses in JAX and optax, right and wrong; wrong ones are called ``bad_…``."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import optax
from cases import case


@case("jax", "real")
def squared(pred, target):
    return (pred - target) ** 2


@case("jax", "real", coupled=True)
@jax.jit
def squared_mean(pred, target):
    return jnp.mean((pred - target) ** 2)


@case("jax", "real")
def optax_l2(pred, target):
    return optax.l2_loss(pred, target)


@case("jax", "real")
def optax_huber(pred, target, delta=1.0):
    return optax.huber_loss(pred, target, delta=delta)


@case("jax", "real")
def optax_log_cosh(pred, target):
    return optax.log_cosh(pred, target)


@case("jax", "logit")
def optax_sigmoid(logits, labels):
    return optax.sigmoid_binary_cross_entropy(logits, labels)


@case("jax", "logit")
def optax_focal(logits, labels):
    return optax.sigmoid_focal_loss(logits, labels, alpha=0.25)


@case("jax", "logits")
def optax_integer_labels(logits, labels):
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels)


@case("jax", "logits_soft")
def optax_soft_labels(logits, labels):
    return optax.softmax_cross_entropy(logits, labels)


@case("jax", "vectors")
def optax_cosine(pred, target):
    return optax.cosine_distance(pred, target)


@case("jax", "logits")
@jax.jit
def one_hot_log_softmax(logits, labels):
    return -jnp.sum(jax.nn.one_hot(labels, logits.shape[-1]) * jax.nn.log_softmax(logits), axis=-1)


@case("jax", "logits", coupled=True)
def mean_with_smoothing(logits, labels):
    smooth = optax.smooth_labels(jax.nn.one_hot(labels, logits.shape[-1]), 0.1)
    return optax.softmax_cross_entropy(logits, smooth).mean()


@case("jax", "logits")
def of_one_sample(logits, labels):
    def single(z, y):
        return jax.nn.logsumexp(z) - z[y]

    return jax.vmap(single)(logits, labels)


@case("jax", "logits")
def focal_of_one_sample(logits, labels):
    def single(z, y):
        log_p = jax.nn.log_softmax(z)[y]
        return -((1 - jnp.exp(log_p)) ** 2) * log_p

    return jax.vmap(single)(logits, labels)


@case("jax", "margin")
def hinge(scores, labels):
    return jax.nn.relu(1 - labels * scores)


@case("jax", "margin")
def squared_hinge(scores, labels):
    return jnp.square(jnp.maximum(0.0, 1 - labels * scores))


@case("jax", "vectors")
def distance_with_safe_root(a, b):
    square = jnp.sum((a - b) ** 2, axis=-1)
    safe = jnp.where(square > 0, square, 1.0)
    return jnp.where(square > 0, jnp.sqrt(safe), 0.0)


@case("jax", "log_count")
def poisson(log_rate, count):
    return jnp.exp(log_rate) - count * log_rate


@case("jax", "masks")
def iou(p, t):
    both = jnp.sum(p * t, axis=-1)
    return 1 - (both + 1) / (jnp.sum(p + t, axis=-1) - both + 1)


@case("jax", "triplets")
def triplet(anchor, positive, negative, margin=1.0):
    near = jnp.sum((anchor - positive) ** 2, axis=-1)
    far = jnp.sum((anchor - negative) ** 2, axis=-1)
    return jax.nn.relu(near - far + margin)


@case("jax", "real")
@partial(jax.custom_vjp, nondiff_argnums=(2,))
def huber_vjp(pred, target, delta=1.0):
    a = jnp.abs(pred - target)
    return jnp.where(a <= delta, 0.5 * a * a, delta * (a - 0.5 * delta))


huber_vjp.defvjp(
    lambda pred, target, delta: (huber_vjp(pred, target, delta), pred - target),
    lambda delta, r, up: (up * jnp.clip(r, -delta, delta), None),
)


@case("jax", "pairs", coupled=True)
def info_nce(a, b, temperature=0.5):
    a, b = (v / jnp.linalg.norm(v, axis=1, keepdims=True) for v in (a, b))
    return optax.softmax_cross_entropy_with_integer_labels(a @ b.T / temperature, jnp.arange(len(a))).mean()


# --- wrong ---


@case("jax", "real_ties", right=False)
def bad_where_nan(pred, target):
    r = pred - target
    return jnp.where(r == 0, 0.0, jnp.sqrt(r * r))


@case("jax", "logits", right=False)
def bad_focal_stopped(logits, labels):
    ce = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    return jax.lax.stop_gradient((1 - jnp.exp(-ce)) ** 2) * ce


@case("jax", "real", right=False)
def bad_half_stopped(pred, target):
    return (jax.lax.stop_gradient(pred) - target) * (pred - target)


@case("jax", "real", right=False)
def bad_rounded(pred, target):
    """A staircase: its gradient is 0 at every point, which verifies nothing, and must not pass."""
    return (jnp.round(pred * 1024) / 1024 - target) ** 2


@case("jax", "logits", right=False)
@jax.custom_vjp
def bad_temperature(logits, labels):
    return optax.softmax_cross_entropy_with_integer_labels(logits / 4, labels)


bad_temperature.defvjp(
    lambda z, y: (bad_temperature(z, y), (z, y)),
    lambda kept, up: (up[:, None] * (jax.nn.softmax(kept[0] / 4) - jax.nn.one_hot(kept[1], 5)), None),
)


@case("jax", "logit", right=False)
@jax.custom_vjp
def bad_upstream(logits, labels):
    return jax.nn.softplus(logits) - labels * logits


bad_upstream.defvjp(
    lambda z, y: (bad_upstream(z, y), (z, y)), lambda kept, up: (jax.nn.sigmoid(kept[0]) - kept[1], None)
)


@case("jax", "real", right=False)
@jax.custom_vjp
def bad_sign(pred, target):
    return jnp.abs(pred - target)


bad_sign.defvjp(lambda p, t: (bad_sign(p, t), p - t), lambda r, up: (-up * jnp.sign(r), None))


@case("jax", "real", right=False, coupled=True)
@jax.custom_vjp
def bad_sum_for_mean(pred, target):
    return jnp.mean((pred - target) ** 2)


bad_sum_for_mean.defvjp(lambda p, t: (bad_sum_for_mean(p, t), p - t), lambda r, up: (up * 2 * r, None))
