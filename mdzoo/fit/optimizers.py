"""Which step is taken, and how long it is."""

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn

from mdzoo.fit.settings import SgdSettings


def optimizer_of(parameters: Iterable[nn.Parameter], settings: SgdSettings) -> torch.optim.Optimizer:
    """Return the optimiser of those parameters that train."""
    chosen = [parameter for parameter in parameters if parameter.requires_grad]
    if not chosen:
        raise ValueError(
            "`force_field` must have a parameter that trains, got none; check `freeze` and `trainable`, or evaluate it"
        )
    if settings.optimizer == "lbfgs":
        return torch.optim.LBFGS(
            chosen, settings.lr, 20, history_size=50, tolerance_grad=0.0, tolerance_change=0.0,
            line_search_fn="strong_wolfe",
        )  # fmt: skip
    if settings.optimizer == "adamw":
        return torch.optim.AdamW(chosen, settings.lr, weight_decay=settings.weight_decay)
    return torch.optim.Adam(chosen, settings.lr)


def cosine(step: int, warmup: int, total: int, least: float, spent: float = 0.0) -> float:
    """Return the factor on the learning rate: linear from zero, then half a cosine down to `least`.

    `spent` is the share of the time that has passed: a run that a clock will end comes down by then.
    """
    if step < warmup:
        return (step + 1) / (warmup + 1)
    done = min(1.0, max(spent, (step - warmup) / max(1, total - warmup)))
    return least + (1.0 - least) * 0.5 * (1.0 + math.cos(math.pi * done))


def optimizer_and_schedule(
    module: nn.Module, settings: SgdSettings, total: int, monitor: str, spent: Callable[[], float]
) -> dict[str, Any]:
    """Return the optimiser and its schedule in Lightning's form.

    Arguments:
        module: whose parameters train.
        settings: which and how.
        total: steps of the whole run.
        monitor: the metric that a plateau is seen in.
        spent: gives the share of the allowed time that has passed.
    """
    optimizer = optimizer_of(module.parameters(), settings)
    if settings.schedule == "plateau":
        plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(
            optimizer, factor=0.5, patience=settings.plateau, min_lr=settings.lr_min
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": plateau, "monitor": monitor, "strict": False}}
    if settings.schedule == "constant" and settings.optimizer == "lbfgs":
        return {"optimizer": optimizer}
    floor = settings.lr_min / settings.lr if settings.schedule == "cosine" else 1.0
    warmup = min(settings.warmup, total // 2)
    steps = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: cosine(step, warmup, total, floor, spent()))
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": steps, "interval": "step"}}
