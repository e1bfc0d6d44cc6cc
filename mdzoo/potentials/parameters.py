"""How an empirical potential holds its parameters: which of them train, within which bounds, and which share a value.

Every empirical potential takes the same three keys, and holds each parameter as a module that gives its numbers:

    choices = Choices(["epsilon", "sigma"], trainable, bounds, ties)  # in the constructor, with the keys as they came
    self.epsilon = choices.values("epsilon", depths, "positive", labels)  # a tensor and the labels of its entries
    epsilon = self.epsilon()  # in forward: a tensor of the shape of `depths`

`trainable` is true, false or a list of names; `epsilon/0-1` is one entry of a table, the one with the label `0-1`.
`bounds` gives a name another domain than its class does: `{epsilon: [0.1, 0.5]}`, `real` or `positive`.
`ties` lists groups of entries that share one value: `{sigma: [[0-0, 1-1], [0-1, 1-2]]}`, or `{sigma: all}`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

Numbers = float | Sequence[float] | Sequence[Sequence[float]]
Trainable = bool | Sequence[str]
Domain = str | Sequence[Numbers]
Bounds = Mapping[str, Domain] | None
Ties = Mapping[str, str | Sequence[Sequence[str]]] | None
DOMAINS = {"real": (-torch.inf, torch.inf), "positive": (0.0, torch.inf), "fractions": (0.0, 1.0)}


class Choices:
    """What the config says of the parameters of one potential.

    Arguments:
        names: of its parameters.
        trainable: true, false, or a list of `name` or `name/label`.
        bounds: for a name, `real`, `positive` or `[low, high]` (numbers, or tables of the shape of the parameter).
        ties: for a name, groups of labels that share one value, or `all`.

    Raises:
        ValueError: a key speaks of a parameter that does not exist.
    """

    def __init__(
        self, names: Sequence[str], trainable: Trainable = False, bounds: Bounds = None, ties: Ties = None
    ) -> None:
        self.every = trainable is True
        listed = [] if isinstance(trainable, bool) else [trainable] if isinstance(trainable, str) else list(trainable)
        self.trainable = [str(word) for word in listed]
        self.bounds, self.ties = dict(bounds or {}), dict(ties or {})
        if not {word.split("/")[0] for word in self.trainable} <= set(names):
            raise ValueError(
                f"`trainable` must be true, false or a list out of {list(names)}, got {self.trainable}; name these"
            )
        for key, found in (("bounds", self.bounds), ("ties", self.ties)):
            if not set(found) <= set(names):
                raise ValueError(f"`{key}` must be for some of {list(names)}, got {list(found)}; name these")

    def values(self, name: str, start: Tensor, domain: str = "positive", labels: Sequence[str] | None = None) -> Any:
        """Return the `Values` of the parameter `name`; `domain` is that of its class, see there."""
        every = self.every or name in self.trainable
        listed = [word.split("/", 1)[1] for word in self.trainable if word.startswith(f"{name}/")]
        bounds = self.bounds.get(name, domain)
        if "fractions" in (domain, bounds) and bounds != domain:
            raise ValueError(f"`bounds` of `{name}` must stay {domain}, got {bounds}; leave `{name}` out of `bounds`")
        return Values(name, start, bounds, every or listed, self.ties.get(name, ()), labels)


class Values(nn.Module):
    """The numbers of one parameter, made of a parameter `raw` that may take any value.

    Domain `real`: `x = raw`; `positive`: `x = exp(raw)`; `[low, high]`: `x = low + (high - low) / (1 + exp(-raw))`, or
    `low + exp(raw)` below infinity; `fractions`: `x = exp(raw) / sum exp(raw)`. What starts on a bound stays there: a
    zero among positive values is an entry that does not act.

    Arguments:
        name: of the parameter, for errors.
        start: the values, of any shape; they come back to rounding.
        domain: `real`, `positive`, `fractions` or `[low, high]`, numbers or tables of the shape of `start`.
        trainable: true, false, or the labels of the entries that train; what is tied to one trains with it.
        ties: groups of labels that share one value, or `all`; other entries stand alone.
        labels: of the entries, in the order of `start.flatten()`; their numbers if not given.

    Example:
        >>> charges = Values("q", torch.tensor([0.5, 0.5, 0.8]), [0.0, 1.0], ["2"], [["0", "1"]])
        >>> charges().tolist(), charges.raw.shape, charges.held.shape
        ([0.5, 0.5, 0.800000011920929], torch.Size([1]), torch.Size([1]))
    """

    held: Tensor | None  # raw numbers of the entries that rest while others train
    bounds: Tensor  # (2, groups) lowest and highest value
    place: Tensor  # of the shape of `start`: the group of each entry

    def __init__(
        self,
        name: str,
        start: Tensor,
        domain: Domain = "positive",
        trainable: Trainable = False,
        ties: str | Sequence[Sequence[str]] = (),
        labels: Sequence[str] | None = None,
    ) -> None:
        super().__init__()
        self.name = name
        names = [str(i) for i in range(start.numel())] if labels is None else list(labels)
        bounds = limits(name, start, domain)
        groups = grouped(name, start.flatten(), names, ties)
        first = sorted({group: i for i, group in reversed(list(enumerate(groups)))}.values())
        train = marked(name, trainable, names)
        free = {group for group, t in zip(groups, train, strict=True) if t}
        first.sort(key=lambda i: groups[i] not in free)  # those that train, then those that rest
        order = {groups[i]: number for number, i in enumerate(first)}
        self.domain = "fractions" if domain == "fractions" else kind(bounds[:, first])
        raw = to_raw(start.flatten()[first], bounds[:, first], self.domain)
        n = len(free) or len(first)
        self.raw = nn.Parameter(raw[:n], bool(free))
        self.register_parameter("held", nn.Parameter(raw[n:], False) if n < len(first) else None)
        self.register_buffer("bounds", bounds[:, first])
        self.register_buffer("place", torch.tensor([order[group] for group in groups]).view(start.shape))

    def forward(self) -> Tensor:
        """Return the values, in the shape of the start."""
        held = self.held
        raw = self.raw if held is None else torch.cat([self.raw, held])
        values = from_raw(raw, self.bounds, self.domain)
        return values.index_select(0, self.place.flatten()).view(self.place.shape)

    def _load_from_state_dict(self, state: dict[str, Tensor], prefix: str, *rest: Any) -> None:
        """Take numbers that were saved under other choices as what they are; refuse those that break these choices."""
        if all(f"{prefix}{key}" in state for key in ("raw", "bounds", "place")):
            raw, bounds, place = (state[f"{prefix}{key}"] for key in ("raw", "bounds", "place"))
            alike = raw.shape == self.raw.shape and bounds.to(self.bounds).equal(self.bounds)
            if place.shape == self.place.shape and not (alike and place.equal(self.place)):
                held = state.pop(f"{prefix}held", raw[:0])
                domain = self.domain if self.domain == "fractions" else kind(bounds)
                values = from_raw(torch.cat([raw, held]), bounds, domain)[place].to(self.bounds)
                state.update({f"{prefix}{key}": tensor for key, tensor in self.holding(values).items()})
        super()._load_from_state_dict(state, prefix, *rest)

    def holding(self, values: Tensor) -> dict[str, Tensor]:
        """Return the state with other values, in the shape of the start."""
        places = {group: i for i, group in enumerate(self.place.flatten().tolist())}
        of_groups = values.flatten()[[places[group] for group in range(len(places))]]
        if not of_groups[self.place].equal(values):
            raise ValueError(f"`{self.name}` must be equal where it is tied, got {values.tolist()}; leave `ties` out")
        check_within(self.name, of_groups, self.bounds, "within its `bounds`")
        raw = to_raw(of_groups, self.bounds, self.domain)
        state = {"raw": raw[: len(self.raw)], "held": raw[len(self.raw) :], "bounds": self.bounds, "place": self.place}
        return state if self.held is not None else {key: state[key] for key in ("raw", "bounds", "place")}


def from_raw(raw: Tensor, bounds: Tensor, domain: str) -> Tensor:
    """Return the values that `raw` stands for."""
    low, high = bounds.unbind(0)
    if domain == "positive":
        return low + (high > low).to(raw.dtype) * torch.exp(raw)
    if domain == "range":
        return low + (high - low) * torch.sigmoid(raw)
    return raw.softmax(0) if domain == "fractions" else raw.clone()


def to_raw(values: Tensor, bounds: Tensor, domain: str) -> Tensor:
    """Return what stands for `values`; 0 for those on a bound."""
    low, high = bounds.unbind(0)
    if domain == "positive":
        return torch.where(low < high, values - low, 1.0).log()
    if domain == "range":
        return torch.where(low < high, (values - low) / (high - low), 0.5).logit()
    return values.log() if domain == "fractions" else values.clone()


def kind(bounds: Tensor) -> str:
    """Return `real`, `positive` (a half line) or `range` for lowest and highest values."""
    infinite = bounds.isinf().any(1)
    return "real" if infinite[0] else "positive" if infinite[1] else "range"


def limits(name: str, start: Tensor, domain: Domain) -> Tensor:
    """Return lowest and highest value of each entry, (2, n); equal for an entry that starts on one of them.

    Raises:
        ValueError: the domain is none, or a value is not finite or not within.
    """
    pair = DOMAINS.get(domain) if isinstance(domain, str) else domain
    try:
        bounds = torch.stack([torch.as_tensor(x, dtype=start.dtype).expand_as(start).flatten() for x in pair or ()])
        infinite = {tuple(column) for column in bounds.isinf().T.tolist()}
        right = infinite in ({(False, False)}, {(False, True)}, {(True, True)})  # one kind for all
    except (RuntimeError, TypeError, ValueError):
        right = False
    if not right:
        raise ValueError(f"`bounds` of `{name}` must be real, positive or [low, high], got {domain}; choose one")
    check_within(name, start.flatten(), bounds, domain if isinstance(domain, str) else f"within {list(domain)}")
    on = (start.flatten() == bounds).any(0)
    return torch.where(on, start.flatten(), bounds)


def check_within(name: str, values: Tensor, bounds: Tensor, words: str) -> None:
    """Raise a ValueError unless every value is finite and between lowest and highest."""
    if not (values.isfinite() & (bounds[0] <= values) & (values <= bounds[1])).all():
        raise ValueError(f"`{name}` must be finite and {words}, got {values.tolist()}; correct it or give `bounds`")


def grouped(name: str, start: Tensor, labels: Sequence[str], ties: str | Sequence[Sequence[str]]) -> list[int]:
    """Return the group of each entry, numbered in the order of their first entries.

    Raises:
        ValueError: a label does not exist or is in two groups, or the entries of a group start differently.
    """
    listed = [list(labels)] if ties == "all" else [[str(label) for label in group] for group in ties]
    tied = [label for group in listed for label in group]
    if not set(tied) <= set(labels) or len(set(tied)) < len(tied):
        raise ValueError(
            f"`ties` of `{name}` must be groups out of {list(labels)}, each entry in one, got {listed}; name these"
        )
    leader = {label: group[0] for group in listed for label in group}
    leaders = [leader.get(label, label) for label in labels]
    numbers = {label: number for number, label in enumerate(dict.fromkeys(leaders))}
    value = dict(zip(labels, start.tolist(), strict=True))
    if any(value[label] != value[leader] for label, leader in zip(labels, leaders, strict=True)):
        raise ValueError(
            f"`{name}` must start equal where it is tied, got {value}; give one value for each of {listed}"
        )
    return [numbers[label] for label in leaders]


def marked(name: str, trainable: Trainable, labels: Sequence[str]) -> list[bool]:
    """Say of each entry whether it trains.

    Raises:
        ValueError: a label does not exist.
    """
    if isinstance(trainable, bool):
        return [trainable] * len(labels)
    if not set(trainable) <= set(labels):
        raise ValueError(
            f"`trainable` must name entries of `{name}` out of {list(labels)}, got {trainable}; name these"
        )
    return [label in trainable for label in labels]


def check_positive(name: str, values: Tensor) -> None:
    """Raise a ValueError unless every value is positive and finite."""
    if not (torch.isfinite(values) & (values > 0.0)).all():
        raise ValueError(f"`{name}` must be positive and finite, got {values.tolist()}; leave out what does not act")
