from mdzoo.testing import check_crowded
from tests.zoo import case, members


@members("crowded")
def test_few_many_and_aligned_neighbours_give_finite_numbers(name):
    it = case(name)
    check_crowded(it.potential, it.n_species)
