"""A network that starts from the closed form begins as the linear model."""

import pytest
import torch

from mdzoo.fit import fit
from mdzoo.fit.design import linear_part
from mdzoo.fit.start import linear_twin
from tests.fit.cases import data, frames, linear, network


@pytest.mark.parametrize("numbers", [(14,), (14, 6)])
def test_the_linear_term_is_that_of_the_closed_form(tmp_path, numbers):
    model, module = network(numbers), data(frames(9, numbers=numbers), atomic_numbers=list(numbers))
    chosen = {"name": "sgd", "weights": {"energy": 1.0, "forces": 1.0}, "start": "least_squares", "epochs": 1}
    chosen |= {"lr": 1e-13, "lr_min": 0.0, "ema": 0.0}
    fit(model, module, tmp_path / "network", chosen, progress=False)
    plain = linear(numbers)
    fit(plain, module, tmp_path / "linear", {"name": "least_squares", "weights": chosen["weights"]}, progress=False)
    for net in model.potential.terms[2].regressor.networks:
        with torch.no_grad():
            net.last.weight.zero_()
            net.last.bias.zero_()
    graph = module.train_set[[0, 1, 2]].graph
    torch.testing.assert_close(model(graph).energy, plain(graph).energy, rtol=1e-7, atol=1e-7)
    torch.testing.assert_close(model(graph).forces, plain(graph).forces, rtol=1e-6, atol=1e-6)


def test_a_model_without_a_network_has_no_twin():
    assert linear_part(linear()) is not None
    with pytest.raises(ValueError, match="`start` must be a path for this model, got least_squares with 0 regressors"):
        linear_twin(linear())


def test_float32_behind_the_closed_form_is_warned_of(tmp_path, caplog):
    chosen = {"name": "sgd", "weights": {"energy": 1.0, "forces": 1.0}, "start": "least_squares", "epochs": 1}
    with caplog.at_level("WARNING", "mdzoo"):
        fit(network(), data(), tmp_path, chosen | {"dtype": "float32"}, progress=False)
    assert "float32 rounds the closed form's weights, whose terms cancel" in caplog.text
