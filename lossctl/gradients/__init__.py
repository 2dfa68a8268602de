"""The gradient check: finite differences, refinement of steps, verdicts and diagnosis."""
