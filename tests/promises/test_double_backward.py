from mdzoo.testing import check_double_backward
from tests.zoo import case, members


@members("double_backward")
def test_a_loss_of_forces_has_the_right_gradient(name):
    it = case(name)
    check_double_backward(it.potential, it.graph)
