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
