"""What can be set of a fit: the keys of conf/fit/*.yaml, with their defaults."""

import dataclasses
import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Weights = dict[str, Any]


def default_weights() -> Weights:
    """Return w_E, w_F and w_S of the loss."""
    return {"energy": 1.0, "forces": 1.0, "stress": 0.0}


@dataclass
class LeastSquaresSettings:
    """The closed form.

    Arguments:
        weights: w_E, w_F, w_S; a list lets cross-validation or validation choose.
        ridge: a number, or `evidence`, `validation`, `cross_validation`.
        prior: `ridge`, or `relevance`: each parameter has a prior width of its own (automatic relevance determination;
            with ridge=evidence and one number for each weight).
        noise: `given`: the weights are one over the noise of each target. `target`: the noise of each target is learnt
            by the evidence, guarded against running away, and the weights follow from it. `group`: likewise for each
            target in each group of the data. Then `weights` only say which targets count.
        folds: number of folds of cross-validation (grouped: twins and trajectories stay together), or `group` to leave
            out the groups of the data in turn.
        stiffness: power by which the prior narrows with the quantum numbers of a feature, see `mdzoo.fit.prior`.
        optimise_empirical: whether trainable parameters outside the linear part are optimised, with the weights solved
            inside (variable projection).
        optimise_kernel: whether variances and lengths of kernels are optimised by the evidence, with one number for
            each weight.
        outer_steps: of these optimisations (each costs two passes of the loss or of the rows, and the rows are made
            once more).
        memory: bytes that a process may take for it; None for its share of what the machine has left. More is refused
            before the work starts.
        batch_size: structures streamed at a time.
        devices: processes; each streams its share, and their triangles are merged.
    """

    weights: Weights = field(default_factory=lambda: default_weights() | {"energy": [1.0, 10.0, 100.0]})
    ridge: float | str = "cross_validation"
    prior: str = "ridge"
    noise: str = "given"
    folds: int | str = 5
    stiffness: float = 0.0
    optimise_empirical: bool = False
    optimise_kernel: bool = False
    outer_steps: int = 20
    memory: float | None = None
    batch_size: int = 1
    devices: int = 1

    def __post_init__(self) -> None:
        one_of("prior", self.prior, ["ridge", "relevance"])
        one_of("noise", self.noise, ["given", "target", "group"])
        if self.prior == "relevance" and (self.ridge != "evidence" or self.stiffness != 0.0):
            raise ValueError(
                f"`prior` must be ridge with ridge={self.ridge} and stiffness={self.stiffness}, got relevance; that "
                "needs ridge=evidence and stiffness=0"
            )
        if (self.optimise_empirical or self.optimise_kernel) and self.devices > 1:
            which = "optimise_empirical" if self.optimise_empirical else "optimise_kernel"
            raise ValueError(
                f"`devices` must be 1 with {which}, got {self.devices}; its passes are not shared by ranks"
            )


@dataclass
class SgdSettings:
    """Gradient descent.

    Arguments:
        weights: w_E, w_F, w_S, and w_q of `charges`, for potentials that find charges.
        huber: `{energy: eV/atom, forces: eV/Angstrom}`, beyond which the loss is linear; empty for the squared error.
        optimizer: `adam`, `adamw` or `lbfgs` (for a batch that holds everything).
        lr: learning rate.
        weight_decay: of adamw.
        schedule: `cosine` (to lr_min at the end), `plateau` (halved after `plateau` epochs without gain) or
            `constant`.
        warmup: steps of linear increase from zero.
        lr_min: the least learning rate.
        plateau: epochs.
        epochs: the most.
        minutes: the most, 0 for no bound; the cosine comes down by then.
        batch_size: structures in one step over all ranks, None for that of the data, 0 for all.
        ema: decay of the average of the weights, 0 for none; what is validated, kept and returned is the average.
        clip: bound of the gradient's norm, 0 for none.
        patience: validations without gain until it stops, 0 for never.
        check_every: epochs between validations.
        save_every: steps between checkpoints to resume from, 0 for each epoch.
        start: run directory, checkpoint or model to start from (fine-tuning), or `least_squares`: a regressor with a
            linear term (mlp) starts from the closed form.
        freeze: patterns of parameter names that stay as they are, such as `potential.terms.1.*`.
        cache: where what a fixed descriptor says is kept: true (in memory), `disk`, false (evaluated in each step) or
            `auto` (in memory if it fits into `cache_bytes`).
        cache_bytes: memory for that.
        dtype: of the model.
        seed: of all random numbers.
        devices: processes.
    """

    weights: Weights = field(default_factory=lambda: default_weights() | {"charges": 0.0})
    huber: dict[str, float] = field(default_factory=dict)
    optimizer: str = "adam"
    lr: float = 1e-3
    weight_decay: float = 0.0
    schedule: str = "cosine"
    warmup: int = 100
    lr_min: float = 1e-6
    plateau: int = 10
    epochs: int = 100
    minutes: float = 0.0
    batch_size: int | None = None
    ema: float = 0.99
    clip: float = 10.0
    patience: int = 0
    check_every: int = 1
    save_every: int = 0
    start: str | None = None
    freeze: list[str] = field(default_factory=list)
    cache: bool | str = "auto"
    cache_bytes: float = 4e9
    dtype: str = "float64"
    seed: int = 0
    devices: int = 1

    def __post_init__(self) -> None:
        one_of("optimizer", self.optimizer, ["adam", "adamw", "lbfgs"])
        one_of("schedule", self.schedule, ["cosine", "plateau", "constant"])
        one_of("dtype", self.dtype, ["float32", "float64"])
        one_of("cache", self.cache, [True, False, "auto", "disk"])
        if self.optimizer == "lbfgs" and (self.clip > 0.0 or self.schedule != "constant"):
            raise ValueError(
                f"`optimizer` must be adam or adamw with clip={self.clip} and schedule={self.schedule}, got lbfgs; "
                "its line search needs clip=0 and schedule=constant"
            )
        if not 0.0 <= self.ema < 1.0:
            raise ValueError(f"`ema` must be from 0 up and below 1, got {self.ema}; 0.99 averages about 100 steps")
        if not self.lr > 0.0:
            raise ValueError(f"`lr` must be positive, got {self.lr}; 1e-3 is a start")


@dataclass
class LbfgsSettings(SgdSettings):
    """L-BFGS with a strong Wolfe line search on the whole training set: the keys of sgd with other defaults.

    An epoch is one step of 20 inner iterations.
    """

    optimizer: str = "lbfgs"
    lr: float = 1.0
    schedule: str = "constant"
    batch_size: int | None = 0
    ema: float = 0.0
    clip: float = 0.0


@dataclass
class LevenbergMarquardtSettings:
    """Second order on networks of up to some thousand parameters, beside a descriptor that does not train.

    Arguments:
        weights: w_E, w_F, w_S.
        steps: the most.
        minutes: the most for all members, 0 for no bound.
        damping: the first, relative to the columns of the Jacobian; it falls after a step, rises before a new try.
        decay: penalty on the squares of the parameters, added to the loss.
        patience: steps without gain in the validation loss until it stops, 0 for never.
        start: run directory, checkpoint or model to start from, or `least_squares`.
        freeze: patterns of parameter names that stay as they are.
        cache: true (in memory), `disk` or `auto`, see sgd.
        cache_bytes: memory for that.
        max_parameters: more than that are refused; a step costs rows x parameters^2.
        dtype: of the model while it is fitted.
        seed: of the random start.
    """

    weights: Weights = field(default_factory=default_weights)
    steps: int = 50
    minutes: float = 0.0
    damping: float = 1.0
    decay: float = 0.0
    patience: int = 5
    start: str | None = None
    freeze: list[str] = field(default_factory=list)
    cache: bool | str = "auto"
    cache_bytes: float = 4e9
    max_parameters: int = 5000
    dtype: str = "float64"
    seed: int = 0

    def __post_init__(self) -> None:
        one_of("dtype", self.dtype, ["float32", "float64"])
        one_of("cache", self.cache, [True, "auto", "disk"])
        if not self.damping > 0.0:
            raise ValueError(f"`damping` must be positive, got {self.damping}; 1 is a start")
        if not self.decay >= 0.0:
            raise ValueError(f"`decay` must be at least 0, got {self.decay}; 0 is no penalty")


Settings = LeastSquaresSettings | SgdSettings | LevenbergMarquardtSettings
KINDS: dict[str, type[Settings]] = {
    "least_squares": LeastSquaresSettings,
    "sgd": SgdSettings,
    "lbfgs": LbfgsSettings,
    "levenberg_marquardt": LevenbergMarquardtSettings,
}


def one_of(name: str, value: object, allowed: list) -> None:
    """Raise a ValueError unless the value is one of the allowed."""
    if value not in allowed:
        raise ValueError(f"`{name}` must be one of {allowed}, got {value!r}; choose one")


def settings_from(table: Mapping[str, Any]) -> Settings:
    """Return the settings of a table such as `{"name": "sgd", "lr": 1e-3}`; an unknown key is an error."""
    keys = dict(table)
    kind = keys.pop("name", None)
    one_of("name", kind, list(KINDS))
    known = [entry.name for entry in dataclasses.fields(KINDS[str(kind)])]
    for key in keys:
        if key not in known:
            near = difflib.get_close_matches(key, known, 1, 0.0)
            raise ValueError(f"`{key}` must be a setting of fit={kind} ({known}), got {key}; did you mean {near}?")
    return KINDS[str(kind)](**keys)
