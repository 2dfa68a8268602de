"""Gradient check: a registered loss is its own reference, finite differences with error estimates judge all others.

Input: a loss, the points (drawn from its domain, or a data set) and a gradient (that of the loss, an array or
a function). Output: a :class:`~lossctl.gradients.result.GradCheck` with a verdict for each coordinate (ok, kink,
wrong, unresolved, undefined), the worst coordinates, and a hint on how a wrong gradient is wrong.

Main classes:

- ``DerivativeProblem``: the loss, the points and the gradient to check; ``DifferenceQuotient``: the difference
  quotients of one step.
- ``StepRefinement``: step refinement of one coordinate; ``OneSidedSlopes``: one-sided derivatives, for kinks;
  ``TangentLine``: the tangent, for linearity tests.
- ``NoisyDerivative``: a derivative and its error bound for a function of unknown precision.
- ``Points``: a loss and some samples of its inputs, as problems of differentiation; ``Precision``: of the numbers.
- ``Verdict``, ``CoordinateVerdicts``: the verdicts on samples × coordinates.
- ``Checker``: the check of one block of data; ``CheckSummary``, ``CheckedSamples``: counts and samples kept of it.
- ``GradCheck``: the result.

Reading order: verdict, finite_differences, one_sided, line_probe, refinement, judge (differences); noisy_derivative,
remeasure (functions of unknown precision); rounding, reference_check (registered losses); directions (wide rows);
points, sampling, ordinary_points, repeatability, user_loss, gradient_arguments, gradient_layout, boosting,
user_gradient, second_derivative, block_check, tally, hints/, diagnosis, result, gradcheck (their use).
verify_shapes, verify_outputs, verify_block, verify_causes, verify_run and verify judge the outputs of a kernel by the
terms of the loss (rounding, value_rounding); golden_pack writes them with their bounds. step_sweep (the difference
quotient as a function of the step) and gradient_rows (the gradient of a data set on disk) stand by themselves. Models
and layers: named_function, given_gradients, random_slopes, localize, array_hints, slope_check, scalar_check,
model_check; layer, vector_check, layer_check; arrays_check (their use), model_result.

Which reference judges:

- A gradient given for a registered loss (a file, a function, a framework) is compared with that loss's own gradient:
  |g − reference| ≤ 8·ε·terms + rtol·scale, where ε is the precision of g (of its type, or seen in its values) and the
  terms are the numbers that the formula subtracts (``rounding.reference_slack``). Differences confirm the reference at
  some coordinates, and judge kinks.
- The gradient of a registered loss itself, and that of any other function, is judged by differences, steps 1 to 10.
  For a function that is not registered, g may also be off by 8·ε times its estimated terms
  (``rounding.estimated_terms``), and step 11 follows.
- Rows of more than 128 coordinates are judged along random directions (``directions``).

Symbols: x the predictions, g the gradient under test, S the magnitude of the numbers of a sample (at least 1),
h the step, s₁ and s₂ the slopes of the two points of a step, D their derivative of second order, ρ its
roundoff, e the estimated error of the extrapolated derivative D*, L = 4·rtol·scale the largest error of a
converged derivative, and A the allowed difference of g: rtol·scale, plus the rounding of g (``atol``), plus
the slope that underflows.

The algorithm, for coordinate j of all samples at once:

1. Take the steps h₀ and h₀/4. h₀ is S·2⁻²², next to an edge of the domain at most 2⁻⁸ of the distance to it,
   rounded down to a power of two (``DerivativeProblem.first_step``). A step gives s₁, s₂, D and ρ
   (``DerivativeProblem.step``).
2. Set the scale of each sample to the largest of |f|/S, the measured slopes and |g| over its coordinates
   (``judge``).
3. Compare the steps h and h/4 (``StepRefinement._judge``). D* is the Richardson extrapolation to h = 0,
   D(h/4) + (D(h/4) − D(h))/15. Its error is e = |D(h/4) − D(h)|·q/(1 − q) + ρ, where q is the ratio of the
   last two changes of D, clipped to [1/4, 16/17]. The step has converged if e ≤ L and the slope gap s₁ − s₂,
   extrapolated to h = 0, is at most 2·L + 4·ρ.
4. The verdict is ok if the step has converged, |g − D*| ≤ e + A, and the residuals from the tangent at four
   shorter steps, h/32 to h/32⁴, are roundoff (``line_probe.has_finer_structure``).
5. Otherwise update the one-sided derivatives (``OneSidedSlopes.update``), divide h by 4 and repeat from 3, at most 18
   times. Stop where roundoff exceeds L; where a converged D* disagrees with g, only where roundoff exceeds a
   quarter of |g − D*|. A change of D that roundoff does not explain retracts a converged step.
6. Next to an edge of the domain, where all steps showed only roundoff, multiply h by 4 instead. These steps can
   make the verdict ok, never wrong (``StepRefinement._grow_steps``).
7. Classify the remaining samples (``StepRefinement._conclude``). If three or more steps converged: wrong if
   |g − D*| > e + A and the loss is linear at all shorter steps (``line_probe.is_linear``), else unresolved.
   Otherwise, in this order: wrong if g is outside the interval of the two one-sided derivatives of a kink; kink
   if they differ; undefined if the derivative is infinite; wrong if no step converged, every change of D was
   roundoff, |g − D| > 16·(ρ + |s₁ − s₂|) + A and the loss is linear at all shorter steps; else unresolved.
8. If the slopes found are less than half the scale of a sample, repeat from 3 with these as the scale, at most
   four times (``judge.check``).
9. An infinite loss or a prediction that is not finite is undefined; a NaN loss is unresolved; a NaN gradient
   of a finite loss is wrong.
10. The check passes if no coordinate is wrong, at most 1 % are unresolved and at least one is ok
    (``CheckSummary.passed``). If it fails, ``diagnosis.diagnose`` looks for one simple explanation that fits 99 % of
    the wrong coordinates.
11. A function that is not registered may have fewer digits than its value suggests. Its derivative is measured again
    at the coordinates that are wrong or unresolved, or at all if a sample of it shows noise: polynomials are fitted
    to the odd and even parts of f at 40 steps from S/2 to S·2⁻⁴⁰, and the largest residual of all shorter steps bounds
    the error (``noisy_derivative``). The measured derivative D ± e replaces the verdict: ok if |g − D| ≤ e + A, wrong
    if |g − D| > 3e + A, else unresolved (``remeasure``). Of more than 4,096 samples of a function without noise, those
    that two steps show to be wrong by 16·(e + A) are wrong if steps 5 to 8 confirm 500 of them. S is here the
    magnitude of the data, without the floor of 1, so that the unit of the data changes no verdict.
"""
