from mdzoo.testing import check_batch
from tests.zoo import case, members


@members("batch")
def test_structures_in_a_batch_do_not_see_each_other(name):
    it = case(name)
    check_batch(it.potential, it.graphs)
