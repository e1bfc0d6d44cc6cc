import pytest
import torch
from torch.fx.experimental.proxy_tensor import make_fx

from mdzoo import ops
from mdzoo.ops import by_number, by_row, by_scatter, pad, padding, segment_sum


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


class StandIn:
    """What torch_scatter is asked for, by torch alone."""

    @staticmethod
    def segment_coo(rows, index, dim_size):
        return rows.new_zeros([dim_size, *rows.shape[1:]]).index_add_(0, index, rows)


@pytest.fixture(params=["stand-in", "torch_scatter"])
def library(request, monkeypatch):
    """torch_scatter where it is installed, and a stand-in everywhere; no choice is remembered."""
    monkeypatch.setattr(ops, "chosen", {})
    if request.param == "stand-in":
        monkeypatch.setattr(ops, "scatter_library", lambda: StandIn)
    elif ops.scatter_library() is None:
        pytest.skip("torch_scatter is not installed: [scatter]")


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(), (3,), (3, 3), (40,)])
def test_every_kernel_gives_the_same_digits(shape, dtype):
    rows, index = torch.randn(500, *shape, dtype=dtype), torch.randint(0, 20, (500,)).sort()[0]
    one, other, third = (kernel(rows, index, 23) for kernel in (by_row, by_number, by_scatter))
    assert torch.equal(one, other)
    tolerance = 16.0 * torch.finfo(dtype).eps
    torch.testing.assert_close(third, one, rtol=tolerance, atol=tolerance)


@pytest.mark.usefixtures("library")
def test_the_kernel_of_torch_scatter_differentiates_twice():
    rows, index = torch.randn(6, 2, dtype=torch.float64, requires_grad=True), torch.tensor([0, 0, 2, 2, 2, 3])
    assert torch.autograd.gradgradcheck(lambda x: by_scatter(x, index, 5).pow(3), rows)


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize("ascending", [True, False])
def test_the_fastest_kernel_is_measured_once_for_a_size_class(monkeypatch, ascending):
    asked = []
    cost = {by_row: 2.0, by_number: 3.0, by_scatter: 1.0}

    def seconds(kernel, *_):
        asked.append(kernel)
        return cost[kernel]

    monkeypatch.setattr(ops, "seconds", seconds)
    for count in (70, 70, 80, 200):  # 70 and 80 are one class
        segment_sum(torch.ones(count, 3), torch.zeros(count, dtype=torch.int64), 1, ascending)
    kernels = [by_row, by_number, by_scatter] if ascending else [by_row, by_number]
    assert asked == 2 * kernels
    assert set(ops.chosen.values()) == {by_scatter if ascending else by_row}


@pytest.mark.usefixtures("library")
def test_a_model_that_leaves_python_holds_kernels_of_torch_alone():
    """Neither a script nor a traced graph measures, or needs torch_scatter."""
    rows, index = torch.randn(30, 3), torch.zeros(30, dtype=torch.int64)
    traced = make_fx(lambda x: segment_sum(x, index, 2, True))(rows)
    scripted = torch.jit.script(segment_sum)
    assert torch.equal(traced(rows), scripted(rows, index, 2, True))
    assert "index_add" in str(traced.graph)
    assert "scatter" not in str(traced.graph) + str(scripted.inlined_graph)
    mapped = torch.func.vmap(lambda x: segment_sum(x, index, 2, True))(rows.expand(2, 30, 3))
    assert torch.equal(mapped[0], traced(rows))
    assert not ops.chosen


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
