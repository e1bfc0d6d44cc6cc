from mdzoo.testing import check_extensive
from tests.zoo import case, members


@members("extensive")
def test_a_doubled_cell_has_twice_the_energy(name):
    it = case(name)
    check_extensive(it.potential, it.graphs[0])
