"""Which definition gives a number: a search over losses, conventions, readings, reductions, factors and precision.

``views`` reads the predictions and targets in several ways, ``definitions`` lists what computes a loss of each sample,
``reductions`` reduces these to statistics, and ``search`` compares the statistics with the number as it is written.
"""
