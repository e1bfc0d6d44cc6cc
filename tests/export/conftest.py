"""Members of this room's tests, known to the registry for one test, and one exported file for all."""

import pytest

from mdzoo.export.torchscript import export
from mdzoo.potentials import registry
from tests.export.models import MEMBERS, hybrid, silicon, structures


@pytest.fixture(autouse=True)
def _members(monkeypatch):
    for name, member in MEMBERS.items():
        monkeypatch.setitem(registry.MEMBERS, name, member)


@pytest.fixture(scope="session")
def exported(tmp_path_factory):
    """Return the path of the hybrid, exported in float64."""
    path = tmp_path_factory.mktemp("export") / "model.pt"
    return export(hybrid(), path, references=structures()[:3], config={"descriptor": "Shells"})


@pytest.fixture(scope="session")
def exported32(tmp_path_factory):
    """Return the path of the hybrid, exported in float32."""
    path = tmp_path_factory.mktemp("export") / "model32.pt"
    return export(hybrid(), path, references=[silicon()], dtype="float32")


@pytest.fixture(scope="session")
def plugin():
    """Return the path of the plugin of LAMMPS, which is built where it was not."""
    from mdzoo.export.lammps.build import build

    try:
        return build()
    except FileNotFoundError as error:
        pytest.skip(str(error))


@pytest.fixture
def lammps(plugin):
    """Load the plugin; it stays loaded for the process."""
    from tests.reference.engine import lammps_instance

    engine = lammps_instance()
    engine.command(f"plugin load {plugin}")
    engine.close()
