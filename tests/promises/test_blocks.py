from mdzoo.testing import check_blocks
from tests.zoo import case, members


@members("blocks")
def test_blocks_and_train_mode_change_nothing(name):
    it = case(name)
    check_blocks(it.potential, it.graph)
