import pytest
import torch

from mdzoo.ops import pad, padding, segment_sum


@pytest.mark.parametrize("shape", [(), (1,), (3, 2), (40,)])
def test_segment_sum_is_a_loop(rng, shape):
    rows, index = torch.tensor(rng.normal(size=(20, *shape))), torch.tensor(rng.integers(0, 5, 20))
    expected = torch.stack([rows[index == s].sum(0) for s in range(7)])
    torch.testing.assert_close(segment_sum(rows, index, 7), expected)


def test_segment_sum_of_no_rows_is_zero():
    empty = torch.zeros(0, dtype=torch.int64)
    assert torch.equal(segment_sum(torch.zeros(0, 4), empty, 3), torch.zeros(3, 4))
    assert segment_sum(torch.zeros(0, 4), empty, 0).shape == (0, 4)


def test_segment_sum_keeps_the_dtype_and_differentiates_twice():
    rows = torch.randn(6, 2, dtype=torch.float64, requires_grad=True)
    index = torch.tensor([0, 0, 2, 2, 2, 3])
    assert segment_sum(rows.float(), index, 4).dtype == torch.float32
    assert torch.autograd.gradgradcheck(lambda x: segment_sum(x, index, 4).pow(3), rows)


def test_padding_puts_each_edge_into_the_row_of_its_centre():
    centers = torch.tensor([0, 0, 2, 2, 2, 3])  # atom 1 has no edges, those behind 3 are not listed
    layout = padding(centers)
    assert (layout.n, layout.width) == (4, 3)
    table = pad(torch.arange(1, 7), layout, torch.zeros((), dtype=torch.int64)).view(4, 3)
    assert table.tolist() == [[1, 2, 0], [0, 0, 0], [3, 4, 5], [6, 0, 0]]


def test_padding_fills_rows_of_several_columns():
    layout = padding(torch.tensor([0, 1, 1]))
    rows = torch.ones(3, 2)
    table = pad(rows, layout, torch.tensor([7.0, 8.0])).view(2, 2, 2)
    assert table[0].tolist() == [[1.0, 1.0], [7.0, 8.0]]
    assert table[1].tolist() == [[1.0, 1.0], [1.0, 1.0]]


def test_padding_of_no_edges_is_empty():
    layout = padding(torch.zeros(0, dtype=torch.int64))
    assert (layout.n, layout.width) == (0, 0)
    assert pad(torch.zeros(0, 3), layout, torch.zeros(3)).shape == (0, 3)


def test_pad_passes_gradients_to_its_rows():
    layout = padding(torch.tensor([0, 0, 2]))
    rows = torch.randn(3, 3, dtype=torch.float64, requires_grad=True)
    pad(rows, layout, torch.zeros(3, dtype=torch.float64)).square().sum().backward()
    torch.testing.assert_close(rows.grad, 2.0 * rows.detach())
