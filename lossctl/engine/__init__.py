"""The engine: compute losses over all rows of a data set, block by block, on an executor.

Takes: a ``Dataset``, one ``Job`` for each loss (built by ``make_job``), a ``Policy`` and an ``Executor``.
Gives: a ``Summary`` for each job, from which ``make_result`` makes a ``Result``.

Main classes: ``Policy`` (options for all losses), ``Job`` (a loss bound to columns), ``Block`` (the inputs of one
range of rows), ``Evaluated`` (the losses of one block), ``Summary`` (exact sums, standard error and extremes),
``Task`` (the unit of work of an executor).

Read in this order: ``plan``, ``block``, ``evaluate``, ``accumulate``, ``run``.
"""
