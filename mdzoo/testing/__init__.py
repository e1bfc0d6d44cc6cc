"""Does it keep its promises? Plain checks of a potential, for mdzoo's own tests and for anyone who adds a member.

Each takes a Potential of float64 and a Graph with edges out to the cutoff plus `SKIN`, and raises an AssertionError
that says what broke. Gradients are compared with differences of fourth order; the rest holds to rounding, 1e-10 of the
largest value, because sums over edges may run in another order.
"""

from mdzoo.testing.compare import SKIN, compare, compare_predictions
from mdzoo.testing.derivatives import check_double_backward, check_gradients, check_smooth
from mdzoo.testing.files import check_save_load, check_scripts
from mdzoo.testing.surroundings import check_batch, check_blocks, check_crowded, check_extensive, check_isolated
from mdzoo.testing.symmetry import check_permutation, check_reflection, check_rotation, check_translation

__all__ = [
    "SKIN",
    "check_batch",
    "check_blocks",
    "check_crowded",
    "check_double_backward",
    "check_extensive",
    "check_gradients",
    "check_isolated",
    "check_permutation",
    "check_reflection",
    "check_rotation",
    "check_save_load",
    "check_scripts",
    "check_smooth",
    "check_translation",
    "compare",
    "compare_predictions",
]
