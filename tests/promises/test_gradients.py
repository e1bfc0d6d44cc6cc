from mdzoo.testing import check_gradients
from tests.zoo import case, members


@members("gradients")
def test_forces_and_virial_are_derivatives_of_the_energy(name):
    it = case(name)
    check_gradients(it.potential, it.graph)
