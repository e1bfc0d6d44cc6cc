from mdzoo.testing import check_reflection
from tests.zoo import case, members


@members("reflection")
def test_handedness_does_not_matter(name):
    it = case(name)
    check_reflection(it.potential, it.graph)
