r"""Whether chains may be used: a run that fails is marked, in its file too, and says so wherever it is used.

Accepted are four chains with a rank-normalised R-hat below 1.01, bulk and tail effective sample sizes of 400 (Vehtari
et al., DOI 10.1214/20-BA1221), no divergences, and an energy fraction of missing information (E-BFMI) above 0.3
(Betancourt, arXiv:1604.00695), by ArviZ.
"""

import logging
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

log = logging.getLogger(__name__)
R_HAT, SIZE, BFMI, CHAINS = 1.01, 400.0, 0.3, 4


class Draws(NamedTuple):
    """What chains leave."""

    parameters: dict[str, Tensor]  # by the names of the force field, (chains, draws, ...)
    others: dict[str, Tensor]  # noise scales and those of priors, (chains, draws, ...)
    energy: Tensor  # (chains, draws) of the Hamiltonian; NaN where there is none, and no E-BFMI
    divergent: Tensor  # (chains, draws) bool
    stopped: str  # why sampling ended early; empty if it did not


class Diagnosis(NamedTuple):
    """The worst of all parameters."""

    r_hat: float
    bulk: float
    tail: float
    divergences: int
    bfmi: float
    failures: list[str]  # what is wrong, in words; empty for a run that passes

    def table(self) -> dict[str, Any]:
        """Return what a model's file keeps."""
        numbers = {key: value for key, value in self._asdict().items() if key != "failures"}
        return {**numbers, "failed": bool(self.failures), "failures": list(self.failures)}


def arviz() -> Any:
    """Return ArviZ.

    Raises:
        ImportError: it is not installed.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it announces its next version
            import arviz as found
    except ImportError as error:
        raise ImportError("`arviz` must be installed for mdzoo.bayes, got none; pip install 'mdzoo[bayes]'") from error
    return found


def inference_data(draws: Draws) -> Any:
    """Return the draws as ArviZ's InferenceData."""
    az = arviz()
    tables = {name: x.numpy() for name, x in {**draws.parameters, **draws.others}.items()}
    statistics = {"energy": draws.energy.numpy(), "diverging": draws.divergent.numpy()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return az.from_dict(posterior=tables, sample_stats=statistics)


def diagnose(draws: Draws) -> Diagnosis:
    """Return the diagnosis of chains."""
    az, chains = arviz(), len(draws.energy)
    if draws.energy.numel() == 0 or draws.energy.shape[1] < 4:
        return Diagnosis(float("inf"), 0.0, 0.0, 0, 0.0, ["fewer than 4 draws", *filter(None, [draws.stopped])])
    data = inference_data(draws)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        worst = {
            "r_hat": largest(az.rhat(data, method="rank")),
            "bulk": -largest(-az.ess(data, method="bulk")),
            "tail": -largest(-az.ess(data, method="tail")),
            "bfmi": 1.0 if bool(draws.energy.isnan().all()) else float(az.bfmi(data).min()),
        }
    found = Diagnosis(divergences=int(draws.divergent.sum()), failures=[], **worst)
    return found._replace(failures=failures(found, chains, draws.stopped))


def largest(dataset: Any) -> float:
    """Return the largest number of all variables, infinity where one is NaN."""
    values = [float(dataset[name].max(skipna=False)) for name in dataset.data_vars]
    return max(float("inf") if value != value else value for value in values)


def failures(found: Diagnosis, chains: int, stopped: str) -> list[str]:
    """Return in words what is wrong."""
    out = [stopped] if stopped else []
    if chains < CHAINS:
        out.append(f"{chains} chains, fewer than {CHAINS}")
    if not found.r_hat < R_HAT:
        out.append(f"chains did not mix: R-hat {found.r_hat:.3f}, not below {R_HAT}")
    for name in ("bulk", "tail"):
        if not getattr(found, name) >= SIZE:
            out.append(f"{name} effective sample size {getattr(found, name):.0f}, below {SIZE:.0f}")
    if found.divergences > 0:
        out.append(f"{found.divergences} divergent draws")
    if not found.bfmi > BFMI:
        out.append(f"E-BFMI {found.bfmi:.2f}, not above {BFMI}")
    return out


def verdict(found: Diagnosis, method: str) -> None:
    """Say in the log how a run went; a warning if it failed."""
    numbers = (
        f"R-hat {found.r_hat:.4f}, effective sample sizes {found.bulk:.0f} (bulk) and {found.tail:.0f} (tail), "
        f"{found.divergences} divergences, E-BFMI {found.bfmi:.2f}"
    )
    if not found.failures:
        log.info("%s passed its diagnostics: %s", method, numbers)
        return
    log.warning(
        "%s FAILED its diagnostics (%s): %s; draw longer, warm up longer, or change the prior; the model is marked",
        method,
        "; ".join(found.failures),
        numbers,
    )


def plots(draws: Draws, folder: Path, most: int = 12) -> list[Path]:
    """Write trace and rank plots of the parameters that mixed worst, and return the files."""
    az, data = arviz(), inference_data(draws)
    written = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        chosen = worst_entries(az, data, most)
        for kind, draw in (("trace", az.plot_trace), ("ranks", az.plot_rank)):
            axes = draw({name: data.posterior[key].values[(..., *at)] for name, (key, at) in chosen.items()})
            figure = axes.flat[0].figure
            written.append(folder / f"{kind}.png")
            figure.savefig(written[-1], dpi=100)
            figure.clear()
    return written


def worst_entries(az: Any, data: Any, most: int) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Return the entries of largest R-hat by readable names: the variable and the place in it."""
    found = az.rhat(data, method="rank")
    entries = []
    for key in found.data_vars:
        values = torch.as_tensor(found[key].values).flatten()
        for place, value in enumerate(values.tolist()):
            entries.append((value, key, place, found[key].shape))
    entries.sort(key=lambda entry: -entry[0])
    out = {}
    for _, key, place, shape in entries[:most]:
        at = tuple(int(i) for i in torch.unravel_index(torch.tensor(place), shape)) if shape else ()
        out[f"{key}{list(at) if at else ''}"] = (key, at)
    return out
