"""Values of other libraries for losses of preferences."""

from __future__ import annotations

import numpy as np

from golden.case import FLOAT32, Recorder

record = Recorder(
    {
        "dpo": {"beta": 0.1, "label_smoothing": 0.0},
        "ipo": {"beta": 0.1},
        "simpo": {"beta": 2.0, "gamma": 0.5},
        "orpo": {"beta": 0.1},
        "kto": {"beta": 0.1, "desirable_weight": 1.0, "undesirable_weight": 1.0},
    }
)

_rng = np.random.default_rng(20240613)
chosen, rejected, before_chosen, before_rejected = -np.round(_rng.uniform(5, 60, (4, 10)), 3)
PAIRS = ("pred", "target", "reference_chosen", "reference_rejected")

# TRL's methods, which take their settings from a trainer
TRAINER = "types.SimpleNamespace(accelerator=types.SimpleNamespace(device='cpu', gather_for_metrics=lambda x: x, gather=lambda x: x), is_encoder_decoder=False, aux_loss_enabled=False, {})"  # noqa: E501
DPO = "reference_free=False, f_divergence_type='reverse_kl', loss_type='{}', beta={}, label_smoothing={}"
for spec, form, beta, smoothing in (
    ("dpo", "sigmoid", 0.1, 0.0),
    ("dpo:beta=0.3:label_smoothing=0.1", "sigmoid", 0.3, 0.1),
    ("ipo", "ipo", 0.1, 0.0),
    ("ipo:beta=0.3", "ipo", 0.3, 0.0),
):
    trainer = TRAINER.format(DPO.format(form, beta, smoothing))
    each = f"trl.DPOTrainer.dpo_loss({trainer}, pred, target, reference_chosen, reference_rejected)[0]"
    record(spec, (chosen, rejected, before_chosen, before_rejected), f"{each}.mean()", each, names=PAIRS)
for spec, beta, gamma in (("simpo", 2.0, 0.5), ("simpo:beta=1.5:gamma=0", 1.5, 0.0)):
    trainer = TRAINER.format(f"loss_type='simpo', beta={beta}, simpo_gamma={gamma}, label_smoothing=0.0")
    each = f"trl.CPOTrainer.cpo_loss({trainer}, pred, target)[0]"
    record(spec, (chosen / 20, rejected / 20), f"{each}.mean()", each)
for spec, beta in (("orpo", 0.1), ("orpo:beta=0.7", 0.7)):
    # TRL returns beta·log σ of the log odds
    each = f"-pred - trl.ORPOTrainer.odds_ratio_loss({TRAINER.format(f'beta={beta}')}, pred, target)[0]"
    record(spec, (chosen / 20, rejected / 20), f"({each}).mean()", each)
# the reference point is one for all rows in TRL
for spec, beta, label in (("kto", 0.1, 1.0), ("kto:beta=0.4", 0.4, 0.0)):
    settings = f"loss_type='kto', beta={beta}, desirable_weight=1.0, undesirable_weight=1.0, calculate_KL=True"
    here, none = f"[target == {label:g}]", "torch.zeros(0)"
    policy, before = [f"pred{here}", none], [f"reference{here}", none]
    sides = [*policy, "kl", *before] if label else [*policy[::-1], "kl", *before[::-1]]
    each = f"trl.KTOTrainer.kto_loss({TRAINER.format(settings)}, {', '.join(sides)}, torch.zeros(5))[0]"
    record(
        spec,
        (chosen[:5], np.full(5, label), before_chosen[:5], np.full(5, 1.25)),
        f"{each}.mean()",
        names=("pred", "target", "reference", "kl"),
        rtol=FLOAT32,
    )
