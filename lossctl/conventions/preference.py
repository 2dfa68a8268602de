"""Conventions of losses of preferences; ``trainer`` has the default settings."""

from __future__ import annotations

from lossctl.conventions.record import trl

ROWS = (
    trl(
        "dpo_loss",
        "dpo",
        "trl.DPOTrainer.dpo_loss(trainer('sigmoid'), pred, target, reference_chosen, reference_rejected)[0].mean()",
        mode="loss_type='sigmoid', the default",
    ),
    trl(
        "dpo_loss",
        "ipo",
        "trl.DPOTrainer.dpo_loss(trainer('ipo'), pred, target, reference_chosen, reference_rejected)[0].mean()",
        mode="loss_type='ipo', of means over the tokens",
    ),
    trl(
        "cpo_loss",
        "simpo:beta=0.1",
        "trl.CPOTrainer.cpo_loss(trainer('simpo'), pred, target)[0].mean()",
        mode="loss_type='simpo'",
    ),
    trl(
        "odds_ratio_loss",
        "orpo",
        "(-pred - trl.ORPOTrainer.odds_ratio_loss(trainer('orpo'), pred, target)[0]).mean()",
        mode="it returns beta·log σ of the log odds, which the trainer takes off the negative log-likelihood",
    ),
    trl(
        "kto_loss",
        "kto",
        "trl.KTOTrainer.kto_loss(trainer('kto'), pred[target == 1], pred[target == 0], kl, reference[target == 1], "
        "reference[target == 0], 0 * kl)[0].mean()",
        mode="kl is a number for the batch",
    ),
    trl(
        "generalized_jsd_loss",
        "generalized_js_divergence",
        "trl.GKDTrainer.generalized_jsd_loss(pred.log()[:, None], target.log()[:, None])",
        reads="logits, of which it takes a softmax,",
    ),
)
