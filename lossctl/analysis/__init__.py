"""Analyses of per-sample losses: breakdowns, model comparisons, loss curves and input checks.

Input: a ``Dataset`` (lossctl.io), one or more ``Loss`` objects (lossctl.core), the options of the run
(``ComputeOptions``) and the configuration of the workers (``ExecutionConfig``). Output: frozen dataclasses, which
lossctl.report turns into text. Most analyses read the input once; those that need the samples again, or need them in
another order, write them to a ``Spool``, a temporary file, so that memory does not grow with the number of samples.

Main classes:
    Breakdown: one loss by samples, by groups and by output columns, from ``break_down``; ``BreakdownRequest`` is the
    request.
    Comparison: several models under one loss, from ``compare_models``: ``Score`` and ``Difference``.
    Distribution: quantiles, a histogram and the share of the worst samples in the sum.
    DataPlot: histograms of losses and predictions, from ``plot_data``. Curve: a loss along one axis, from ``curve_of``.
    InputProfile: properties of all rows of the inputs, from which ``check_inputs`` derives its warnings. The engine
        computes it in the pass of the loss (``profile=profile_block`` of ``compute_losses``).

Modules, in the order in which to read them:
    per_sample: ``PerSampleLosses``, the losses of the samples of a block; ``SelectedSamples``, selected samples with
    their inputs.
    quantiles: exact order statistics of a spool. external_sort: the rows of a spool, sorted.
    distribution, grouping: two parts of a breakdown. breakdown: the breakdown itself.
    bootstrap: resampling. inference: standard errors, intervals and tests. paired_losses, comparison: ``Comparison``.
    input_profile: ``InputProfile``. input_checks: warnings about the inputs.
    curves: the graph of a loss and its kinks. histograms: ``DataPlot``.
"""
