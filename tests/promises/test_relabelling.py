"""Which species is called 0 is a convention: features of relabelled atoms span what the features span."""

import torch

from mdzoo.potentials import DescriptorPotential
from mdzoo.testing.compare import cluster
from tests.zoo import ZOO, instance, members

TWO = [n for n, e in ZOO.items() if e.n_species == 2 and e.table["name"] == "DescriptorPotential"]


@members("relabelling", TWO)
def test_features_of_relabelled_species_are_linear_in_the_features(name):
    potential = instance(name)
    assert isinstance(potential, DescriptorPotential)
    descriptor, generator = potential.descriptor, torch.Generator().manual_seed(0)
    rows = []
    for _ in range(descriptor.n_features // 4 + 8):
        species = torch.randint(2, (8,), generator=generator)
        places = torch.randn(8, 3, generator=generator, dtype=torch.float64)
        places = (
            descriptor.cutoff
            * 0.4
            * torch.nn.functional.normalize(places)
            * torch.linspace(0.6, 1.0, 8).unsqueeze(1).double()
        )
        rows.append(
            [descriptor(cluster(kinds, places, descriptor.cutoff)).detach() for kinds in (species, 1 - species)]
        )
    features, relabelled = (torch.cat(column) for column in zip(*rows, strict=True))
    scale = features.square().mean(0).sqrt() + 1e-300
    found = torch.linalg.lstsq(features / scale, relabelled / scale, driver="gelsd").solution
    torch.testing.assert_close(features / scale @ found, relabelled / scale, rtol=0, atol=1e-7)
