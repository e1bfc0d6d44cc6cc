from mdzoo.testing import check_save_load
from tests.zoo import case, members


@members("save_load")
def test_model_file_gives_the_same_model(name, tmp_path):
    it = case(name)
    check_save_load(it.potential, it.table, it.graph, tmp_path)
