from mdzoo.testing import check_isolated
from tests.zoo import case, members


@members("isolated")
def test_isolated_atoms_have_finite_energy_and_no_force(name):
    it = case(name)
    check_isolated(it.potential, it.graph, it.n_species)
