from mdzoo.testing import check_scripts
from tests.zoo import case, members


@members("scripts")
def test_scripts_saves_loads_and_changes_dtype(name):
    it = case(name)
    check_scripts(it.potential, it.graph)
