from mdzoo.testing import check_rotation
from tests.zoo import case, members


@members("rotation")
def test_orientation_does_not_matter(name):
    it = case(name)
    check_rotation(it.potential, it.graph)
