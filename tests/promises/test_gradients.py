from mdzoo.testing import check_gradients
from tests.zoo import case, members


@members("gradients")
def test_forces_and_virial_are_derivatives_of_the_energy(name):
    it = case(name)
    step = 4e-5 if "SparseGP" in name else 5e-4  # kernels with few derivatives: long differences are off themselves
    check_gradients(it.potential, it.graph, step)
