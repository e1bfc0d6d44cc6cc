from mdzoo.testing import check_smooth
from tests.zoo import case, members


@members("smooth")
def test_leaves_through_the_cutoff_as_smoothly_as_declared(name):
    it = case(name)
    check_smooth(it.potential, it.n_species)
