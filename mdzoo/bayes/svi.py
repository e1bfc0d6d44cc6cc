"""Stochastic variational inference as a method: Bayesian layers of any network, last layers, weights of linear models.

Which parameters are drawn is the prior's choice, by names: `*.networks.*` every layer of an MLP, `*.last.*` the last
layer alone, `*.regressor.weights` those of a linear regressor, `*` all that trains.
"""

import logging
import tempfile
import warnings
from pathlib import Path
from typing import Any

import torch

from mdzoo.bayes.coordinates import Coordinates, natural
from mdzoo.bayes.elbo import Report, Variational, judge, maximise, whole_density
from mdzoo.bayes.guides import GUIDES, Guide, guide_of
from mdzoo.bayes.infer import Problem
from mdzoo.bayes.lift import Density, Predictor
from mdzoo.bayes.mcmc import unpacked
from mdzoo.bayes.members import with_members
from mdzoo.bayes.nuts import marked
from mdzoo.bayes.peers import pyro
from mdzoo.bayes.pose import Labels, columns_of, lifted_of, posed
from mdzoo.fit.cached import kept_sets, n_members
from mdzoo.fit.callbacks import averaged, read_checkpoint
from mdzoo.fit.fit import EXPECTED
from mdzoo.fit.lightning import GradientFit
from mdzoo.fit.loggers import log_file, loggers
from mdzoo.fit.loss import Target
from mdzoo.fit.settings import SgdSettings
from mdzoo.fit.trainer import Loaders, Run, callbacks_of, limits, trainer_of
from mdzoo.potentials import ForceField

log = logging.getLogger(__name__)


class Svi:
    """A guide that is closest to the posterior, by the evidence lower bound; its draws become members.

    Where the energy is linear in all that is drawn and noise is Gaussian, the bound is that of factors, in coordinates
    that whiten the posterior; elsewhere minibatches go through the Lightning module of `fit=sgd`, logged in and resumed
    from the run directory like any other. A guide that collapsed is marked: its model says so whenever it is loaded.

    Arguments:
        members: M, draws that the model keeps.
        guide: `mean_field` (deviations too small by its nature, see there), `low_rank`, `full` or `flow`.
        rank: of `low_rank`.
        scale: first deviation of the guide, in units of the prior's (or of the whitened posterior's).
        epochs: of the data, or steps of a hundredth of it on factors.
        lr: learning rate, which falls as half a cosine.
        batch_size: structures in a step.
        targets: whose labels count.
        noise: learnt by `target` or `group`, or `{forces: {scale: 0.1, width: 0}}`, see `mdzoo.bayes.likelihood`.
        powers: `structures`, `independent`, or numbers by target, see `powers_of`.
    """

    def __init__(
        self,
        members: int = 50,
        guide: str = "low_rank",
        rank: int = 10,
        scale: float = 0.1,
        epochs: int = 200,
        lr: float = 0.01,
        batch_size: int = 8,
        targets: Any = ("energy", "forces"),
        noise: Any = "target",
        powers: Any = "structures",
    ) -> None:
        if guide not in GUIDES:
            guide_of(guide, 1, 1.0)
        for name, value in {"scale": scale, "lr": lr, "epochs": epochs, "members": members - 1}.items():
            if not float(value) > 0.0:
                raise ValueError(
                    f"`{name}` must be positive (members at least 2), got {value}; see conf/bayes/svi.yaml"
                )
        self.members, self.guide, self.rank, self.scale = int(members), guide, int(rank), float(scale)
        self.epochs, self.lr, self.batch_size = int(epochs), float(lr), int(batch_size)
        self.labels = Labels(list(targets), noise, powers)

    def __call__(self, problem: Problem) -> ForceField:
        """Return the force field with draws of the guide as members."""
        pyro.set_rng_seed(problem.seed)
        if n_members(problem.force_field) > 1:
            raise ValueError("`force_field` must have one member for svi, got more; infer from regressor.members=1")
        lifted = lifted_of(problem, self.labels)
        likelihood = lifted.likelihood
        if columns_of(problem, lifted) is not None and likelihood.name != "student_t":
            density, coordinates, guide, report = self.by_factors(problem)
        else:
            if likelihood.name == "student_t" and likelihood.freedom is None:
                raise ValueError("`freedom` must be given for svi, got null; set likelihood.freedom=4")
            density, coordinates, guide, report = self.by_batches(problem, Density(lifted))
        say(report)
        with torch.no_grad(), torch.random.fork_rng():
            torch.manual_seed(problem.seed)
            z = guide(self.members)[0]
        draws = unpacked(density, coordinates.many(z))[0]
        return marked(with_members(problem.force_field, draws), "svi", report.table())

    def by_factors(self, problem: Problem) -> tuple[Density, Coordinates, Guide, Report]:
        """Fit the guide on factors."""
        found = posed(problem, self.labels)
        guide = guide_of(self.guide, found.density.dimension, self.scale, min(self.rank, found.density.dimension))
        history = maximise(found.density, found.coordinates, guide, 10 * self.epochs, self.lr, seed=problem.seed)
        log.info("svi: evidence lower bound %.6g to %.6g", history[0], history[-1])
        return found.density, found.coordinates, guide, judge(found.density, found.coordinates, guide)

    def by_batches(self, problem: Problem, density: Density) -> tuple[Density, Coordinates, Guide, Report]:
        """Fit the guide by minibatches."""
        field, train, val = problem.force_field.train(), problem.data.train_set, problem.data.val_set
        sets = [part for part in (train, val) if part is not None]
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary) if problem.run_dir is None else problem.run_dir
            kept = kept_sets(field, sets, "auto", 4e9, folder / "kept")
            predictor = Predictor(field, kept[0] if kept else None)
            sets = kept[1:] if kept else sets
            coordinates = natural(density)
            guide = guide_of(self.guide, density.dimension, self.scale, min(self.rank, density.dimension))
            module = Variational(density, coordinates, guide, predictor, len(train))
            self.fit(problem, module, sets, folder)
        batches = [sets[0][[i]] for i in range(len(train))]
        return density, coordinates, guide, judge(whole_density(density, predictor, batches), coordinates, guide)

    def fit(self, problem: Problem, module: Variational, sets: list[Any], folder: Path) -> None:
        """Run the Lightning module of every fit, with the bound as its objective."""
        settings = SgdSettings(
            epochs=self.epochs, lr=self.lr, batch_size=self.batch_size, seed=problem.seed, warmup=10, clip=0.0
        )
        monitor = "val/loss" if len(sets) > 1 else "train/loss"
        targets = [Target(name) for name in self.labels.targets]
        last = folder / "svi" / "checkpoints" / "last.ckpt"
        with log_file(folder / "svi" / "train.log"), warnings.catch_warnings():
            for message in EXPECTED:
                warnings.filterwarnings("ignore", message)
            fitted = GradientFit(module, targets, settings, monitor, module.predict, module.objective)  # type: ignore[arg-type]
            run = Run(folder / "svi", loggers(folder / "svi", "disabled"), False)
            trainer = trainer_of(run, callbacks_of(settings, run.folder, monitor), 1, **limits(settings))
            loaders = Loaders(problem.data, [*sets, None][:2], self.batch_size, True)
            trainer.fit(fitted, datamodule=loaders, ckpt_path=str(last) if last.is_file() else None)
        module.load_state_dict(averaged(read_checkpoint(last)))


def say(report: Report) -> None:
    """Say in the log whether the guide is to be trusted; a warning if it is not."""
    if report.failures:
        log.warning(
            "svi FAILED: %s; lower `lr`, run longer, or choose another guide; the model is marked", report.failures
        )
    else:
        log.info("svi: width %.2f (one where the guide is right), %.2f nats for each number", report.width, report.gain)
