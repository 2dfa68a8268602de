"""Values of symforce for Barron's general robust loss."""

from __future__ import annotations

from golden.case import Recorder
from golden.inputs import real

record = Recorder({"barron": {"alpha": 1.0, "c": 1.0}})

# It takes neither alpha = 2 nor 0 nor -inf, and scales by c² where its delta is c.
for spec, alpha, c in (
    ("barron", 1.0, 1.0),
    ("barron:alpha=1.5", 1.5, 1.0),
    ("barron:alpha=-2:c=2.5", -2.0, 2.5),
    ("barron:alpha=-7.5", -7.5, 1.0),
):
    model = f"symforce.opt.noise_models.BarronNoiseModel({alpha}, 1, 0)"
    each = f"np.vectorize({model}.barron_error, otypes=[float])((pred - target) / {c})"
    record(spec, real, f"{each}.mean()", each)
