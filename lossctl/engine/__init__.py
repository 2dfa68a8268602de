"""The engine: compute losses over all rows of a data set, block by block, on an executor.

Input: a ``Dataset``, the losses, a ``ComputeOptions`` and an ``ExecutionConfig``, to ``compute_losses`` in ``run``.
Output: a ``Computation`` with one ``Result`` for each loss.

Main classes: ``ComputeOptions`` (options for all losses), ``LossPlan`` (a loss bound to columns), ``Block`` (the inputs
of one range of rows), ``Evaluated`` (the losses of one block), ``Summary`` (exact sums, standard error and extremes),
``Task`` (the unit of work of an executor).

Read in this order: ``plan``, ``block``, ``evaluate``, ``accumulate``, ``run``.
"""
