from mdzoo.testing import check_permutation
from tests.zoo import case, members


@members("permutation")
def test_order_of_atoms_does_not_matter(name):
    it = case(name)
    check_permutation(it.potential, it.graph)
