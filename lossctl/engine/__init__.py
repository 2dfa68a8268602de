"""The engine: compute losses over all rows of a data set, block by block, on an executor.

Takes: a ``Dataset``, one ``LossPlan`` for each loss (built by ``plan_loss``), a ``ComputeOptions`` and an ``Executor``.
Gives: a ``Summary`` for each job, from which ``make_result`` makes a ``Result``.

Main classes: ``ComputeOptions`` (options for all losses), ``LossPlan`` (a loss bound to columns), ``Block`` (the
inputs of one
range of rows), ``Evaluated`` (the losses of one block), ``Summary`` (exact sums, standard error and extremes),
``Task`` (the unit of work of an executor).

Read in this order: ``plan``, ``block``, ``evaluate``, ``accumulate``, ``run``.
"""
