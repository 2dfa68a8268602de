"""Special functions and error-free arithmetic that families of losses share.

Takes and gives: float64 arrays. No function checks its arguments; the domain check of the loss does that.

Main modules: ``elementary`` (selection, x·log y, series of log1p and expm1), ``error_free`` (sums, products and
quotients with their roundoff), ``softmax``, ``log_ratio`` (log(p/q) and Bregman terms), ``cosine``,
``gamma_functions`` (log-gamma and erf), ``normal_interval`` (the mass of an interval), ``scaled_residual`` (the scale
of robust losses, and the slope of a Gaussian well), ``logit_shift`` (Newton's method for the shift of a row of
logits).

Read in this order: ``elementary``, ``error_free``, ``softmax``; the others as a loss needs them.
"""
