from mdzoo.testing import check_translation
from tests.zoo import case, members


@members("translation")
def test_origin_and_choice_of_images_do_not_matter(name):
    it = case(name)
    check_translation(it.potential, it.graph)
