"""Parameters of empirical potentials: each domain gives back its start and keeps within; frozen, free and tied ones."""

import copy

import pytest
import torch

from mdzoo.potentials.parameters import Choices, Values

START = torch.tensor([[0.5, 2.0], [1e-3, 1830.8]], dtype=torch.float64)
LABELS = ["a", "b", "c", "d"]
DOMAINS = ["real", "positive", [1e-4, 1e4], [-3.0, float("inf")], [[[0, 1], [0, 1000]], [[1, 3], [1, 2000]]]]


@pytest.mark.parametrize("domain", DOMAINS, ids=str)
def test_a_start_comes_back_to_rounding_and_steps_stay_within(domain):
    values = Values("x", START, domain, True)
    torch.testing.assert_close(values().detach(), START, rtol=1e-14, atol=1e-15)  # a shift rounds absolutely
    with torch.no_grad():
        values.raw.normal_(0.0, 10.0)
    low, high = values.bounds.view(2, 2, 2)
    assert ((low <= values()) & (values() <= high)).all()


@pytest.mark.parametrize("domain", [*DOMAINS, "fractions"], ids=str)
def test_it_scripts_and_changes_dtype(domain):
    start = START / START.sum() if domain == "fractions" else START
    values = Values("x", start, domain, ["b"], [], LABELS)
    scripted, expected = torch.jit.script(values), values().detach()
    assert scripted().equal(expected)
    single = copy.deepcopy(values).float()
    torch.testing.assert_close(single().detach(), start.float(), rtol=1e-5, atol=1e-3 if domain in DOMAINS[2:] else 0.0)
    assert torch.jit.script(single)().equal(single())
    other = Values("x", start, domain)
    torch.nn.init.zeros_(other.raw)
    other.load_state_dict(values.state_dict())
    assert other().equal(expected)


def test_what_starts_on_a_bound_stays_there():
    for start, domain in (([0.0, 2.0], "positive"), ([1.0, 3.0], [1, 3]), ([0.0, 0.0], "positive")):
        values = Values("x", torch.tensor(start, dtype=torch.float64), domain, True)
        before = values().detach()
        (slope,) = torch.autograd.grad(values().square().sum(), values.raw)
        assert slope.isfinite().all()
        with torch.no_grad():
            values.raw.add_(1.0)
        assert ((values() == before) == (torch.tensor(start) != 2.0)).all()


def test_fractions_keep_their_sum():
    values = Values("x", torch.tensor([0.25, 0.75], dtype=torch.float64), "fractions", True)
    torch.testing.assert_close(values().tolist(), [0.25, 0.75])
    with torch.no_grad():
        values.raw.normal_()
    assert float(values().sum().detach()) == pytest.approx(1.0, abs=1e-15)


def test_tied_entries_share_a_value_and_its_slope():
    values = Values("x", torch.tensor([2.0, 3.0, 2.0, 2.0]), "positive", True, [["c", "a"]], LABELS)
    assert values.raw.shape == (3,)
    (slope,) = torch.autograd.grad(values().sum(), values.raw)
    torch.testing.assert_close(slope, torch.tensor([4.0, 3.0, 2.0]))
    assert Values("x", torch.full((2, 2), 2.0), ties="all").raw.shape == (1,)


def test_names_and_entries_are_frozen_or_free():
    choices = Choices(["x", "y", "z"], ["x", "y/b"])
    x, y, z = (choices.values(name, START, "positive", LABELS) for name in "xyz")
    assert [v.raw.requires_grad for v in (x, y, z)] == [True, True, False]
    (slope,) = torch.autograd.grad(y().sum(), y.raw)
    torch.testing.assert_close(slope, torch.tensor([2.0], dtype=torch.float64))
    tied = Choices(["x"], ["x/b"], {"x": "real"}, {"x": [["b", "c"]]}).values("x", torch.ones(3), "positive", "abc")
    assert (tied.raw.shape, tied.held.shape) == ((1,), (1,))


OTHERS = [{"domain": "real"}, {"domain": [0.0, 2000.0]}, {"trainable": ["b"]}, {"ties": [["a", "d"]]}, {}]


@pytest.mark.parametrize("before", OTHERS, ids=str)
@pytest.mark.parametrize("after", OTHERS, ids=str)
def test_numbers_saved_under_other_choices_keep_their_value(before, after):
    start = torch.tensor([0.5, 3.0, 1000.0, 0.5], dtype=torch.float64)
    saved = Values("x", start, labels=LABELS, **before).state_dict()
    values = Values("x", torch.ones(4, dtype=torch.float64), labels=LABELS, **after)
    values.load_state_dict(saved)
    torch.testing.assert_close(values().detach(), start, rtol=1e-12, atol=0.0)


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"domain": [0.0, 1000.0]}, r"`x` must be finite and within its `bounds`, got \[0.5.*; correct it or give"),
        ({"ties": "all"}, r"`x` must be equal where it is tied, got \[\[0.5.*; leave `ties` out"),
    ],
)
def test_numbers_saved_under_other_choices_are_refused_where_they_break_these(choices, message):
    saved = Values("x", START, "real").state_dict()
    with pytest.raises(ValueError, match=message):
        Values("x", torch.full_like(START, 2.0), **choices).load_state_dict(saved)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"domain": "small"}, r"`bounds` of `x` must be real, positive or \[low, high\], got small; choose one"),
        ({"domain": [1.0]}, r"`bounds` of `x` must be .*, got \[1.0\]; choose one"),
        ({"domain": [None, 1.0]}, r"`bounds` of `x` must be .*, got \[None, 1.0\]; choose one"),
        ({"domain": [-float("inf"), 1.0]}, r"`bounds` of `x` must be .*, got \[-inf, 1.0\]; choose one"),
        ({"domain": [[0.0, 1.0], 2.0]}, r"`bounds` of `x` must be .*, got \[\[0.0, 1.0\], 2.0\]; choose one"),
        ({"domain": [3.0, 9.0]}, r"`x` must be finite and within \[3.0, 9.0\], got \[1.0, 2.0, 2.0\]; correct it or"),
        ({"start": torch.tensor([1.0, -1.0, 0.0])}, r"`x` must be finite and positive, got \[1.0, -1.0, 0.0\]"),
        ({"start": torch.tensor([1.0, torch.nan, 0.0]), "domain": "real"}, r"`x` must be finite and real, got"),
        ({"trainable": ["d"]}, r"`trainable` must name entries of `x` out of \['a', 'b', 'c'\], got \['d'\]; name"),
        ({"ties": [["a", "d"]]}, r"`ties` of `x` must be groups out of \['a', 'b', 'c'\], .* got \[\['a', 'd'\]\]"),
        ({"ties": [["b", "c"], ["c", "a"]]}, r"`ties` of `x` must be groups .* each entry in one, got"),
        ({"ties": [["a", "c"]]}, r"`x` must start equal where it is tied, got .*; give one value for each of"),
    ],
)  # fmt: skip
def test_bad_values_get_a_clear_error(arguments, message):
    with pytest.raises(ValueError, match=message):
        Values(**{"name": "x", "start": torch.tensor([1.0, 2.0, 2.0]), "labels": ["a", "b", "c"], **arguments})


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (
            {"trainable": ["q"]},
            r"`trainable` must be true, false or a list out of \['x', 'c'\], got \['q'\]; name these",
        ),
        ({"bounds": {"q": "real"}}, r"`bounds` must be for some of \['x', 'c'\], got \['q'\]; name these"),
        ({"ties": {"q": "all"}}, r"`ties` must be for some of \['x', 'c'\], got \['q'\]; name these"),
        ({"bounds": {"c": "real"}}, r"`bounds` of `c` must stay fractions, got real; leave `c` out of `bounds`"),
    ],
)
def test_bad_keys_get_a_clear_error(keys, message):
    with pytest.raises(ValueError, match=message):
        Choices(["x", "c"], **keys).values("c", torch.tensor([0.5, 0.5]), "fractions")
