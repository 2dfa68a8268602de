"""Every loss, one module per family of losses.

Takes: the inputs of a block as read-only float64 arrays ``(n,)`` or ``(n, *core)``, and parameters by keyword.
Gives: the losses ``(n,)`` and a function without arguments that returns the gradient with respect to the first input.

A function under ``@loss`` (``lossctl.core.decorator``) is a loss. The registry imports every module of this package,
so a new module is a new family. Functions that several families need are in ``lossctl.losses.numerics``.

Read in this order: ``regression`` (numbers), ``binary`` (probabilities and logits), ``multiclass`` (rows of classes),
``segmentation`` (images), ``contrastive`` (samples of a batch that depend on each other).
"""
