"""Masks of the stress, and weights by group and by structure."""

import numpy as np
import pytest
from ase.build import bulk

from mdzoo.data.keys import Row
from mdzoo.data.masks import StressMask, stress_masks
from mdzoo.data.rows import apply_rules
from mdzoo.data.weights import group_weights

FRAMES = [bulk("Ni"), bulk("Ni"), bulk("Cu")]
ROWS = [Row(0.0, None, np.ones((3, 3)), group, (1.0, 2.0, 1.0), 0.0) for group in ("Elastic", "AIMD", "AIMD")]


def masked(rules):
    rows = apply_rules(FRAMES, ROWS, None, stress_masks(rules), ["AIMD", "Elastic"], "train")
    return [np.isnan(row.stress).sum() for row in rows]


@pytest.mark.parametrize(
    ("rules", "counts"),
    [
        (None, [0, 0, 0]),
        ([], [0, 0, 0]),
        ("shear", [6, 6, 6]),
        (["xx", "yy", "zz"], [3, 3, 3]),
        ([["xx"], ["xy"]], [3, 3, 3]),
        ({"components": ["xy"], "groups": ["Elastic"]}, [2, 0, 0]),
        ([{"components": "normal", "elements": ["Ni"]}, {"groups": "AIMD", "components": "all"}], [3, 9, 9]),
        ([{"elements": "Cu"}], [0, 0, 9]),
    ],
)
def test_stress_is_masked_by_component_group_and_element(rules, counts):
    assert masked(rules) == counts


def test_masks_leave_the_labels_of_the_file_alone():
    masked("all")
    assert np.isfinite(ROWS[0].stress).all()


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        (["xz", "zx"], "`components` must be some of .*got 'zx'"),
        ({"component": "xx"}, "`stress_mask` must have keys among .*got 'component'"),
        ({"elements": "nickel"}, "`elements` must be chemical symbols, got 'nickel'"),
        ({"groups": "Elastik"}, "`stress_mask` must name groups of the data .*got 'Elastik'"),
    ],
)
def test_wrong_rules(rules, message):
    with pytest.raises(ValueError, match=message):
        masked(rules)


def test_voigt_order_is_that_of_ase():
    stress = StressMask(["yz"]).apply(np.ones((3, 3)))
    assert np.isnan(stress[1, 2])
    assert np.isnan(stress[2, 1])


def test_group_weights_multiply_those_of_structures():
    table = {"Elastic": {"energy": 10, "force": 3, "stress": 0}}
    rows = apply_rules(FRAMES, ROWS, table, [], ["AIMD", "Elastic"], "train")
    assert [row.weights for row in rows] == [(10.0, 6.0, 0.0), (1.0, 2.0, 1.0), (1.0, 2.0, 1.0)]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"Elastik": {}}, r"`group_weights` must name groups of the data .*got 'Elastik'; did you mean \['Elastic'\]"),
        ({"Elastic": {"virial": 1}}, "`group_weights` must have the keys .*got 'virial'"),
        ({"Elastic": {"energy": -1}}, "`group_weights` must be at least 0, got -1"),
    ],
)
def test_wrong_group_weights(table, message):
    with pytest.raises(ValueError, match=message):
        group_weights(table, ["AIMD", "Elastic"])
