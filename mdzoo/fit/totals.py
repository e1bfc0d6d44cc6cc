"""Errors added up over an epoch and over ranks."""

import torch
from torch import Tensor

from mdzoo.fit.loss import Residual

NAMES = {"energy": "energy", "forces": "force", "stress": "virial", "charges": "charge"}
"""Names of the targets in metrics: energy and virial (eV/atom), force (eV/Angstrom per component), charge (e)."""


class Totals:
    """Sums of absolute and squared errors, of the loss, and their counts, by target.

    Arguments:
        targets: names of the targets.
    """

    def __init__(self, targets: list[str]) -> None:
        self.targets = list(targets)
        self.sums = torch.zeros(len(self.targets), 4, dtype=torch.float64)  # |e|, e^2, number, loss
        self.structures = 0

    def add(self, target: str, residual: Residual, loss: Tensor) -> None:
        """Add the errors of a batch."""
        error = residual.error.detach()
        sums = [error.abs().sum(), error.square().sum(), error.new_tensor(error.numel()), loss.detach()]
        self.sums[self.targets.index(target)] += torch.stack(sums).cpu()

    def add_loss(self, loss: Tensor) -> None:
        """Add a part of the loss that is of no target."""
        self.sums[0, 3] += loss.detach().cpu()

    def metrics(self, stage: str, ranks: int, device: torch.device) -> dict[str, float]:
        """Return `<stage>/energy_mae` and the like, and `<stage>/loss`, over all ranks."""
        every = torch.cat([self.sums.flatten(), torch.tensor([float(self.structures)], dtype=torch.float64)])
        if ranks > 1:
            moved = every.to(device)
            torch.distributed.all_reduce(moved)
            every = moved.cpu()
        sums, structures = every[:-1].view(-1, 4), every[-1]
        out = {f"{stage}/loss": float(sums[:, 3].sum() / structures.clamp_min(1.0))}
        for target, (size, square, count, _) in zip(self.targets, sums, strict=True):
            if count > 0:
                out[f"{stage}/{NAMES[target]}_mae"] = float(size / count)
                out[f"{stage}/{NAMES[target]}_rmse"] = float((square / count).sqrt())
        return out

    def clear(self) -> None:
        """Start anew."""
        self.sums.zero_()
        self.structures = 0

    def state(self) -> dict[str, Tensor | int]:
        """Return what a checkpoint keeps."""
        return {"sums": self.sums.clone(), "structures": self.structures}

    def load(self, state: dict[str, Tensor | int]) -> None:
        """Go on where a checkpoint was written."""
        self.sums = torch.as_tensor(state["sums"]).clone()
        self.structures = int(state["structures"])
