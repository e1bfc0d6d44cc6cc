"""ASE's socket client as the driver of i-PI, and of whatever else speaks its protocol."""

import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase.calculators.socketio import SocketClient, SocketIOCalculator

from mdzoo.export.ase import Calculator
from tests.export.models import silicon

INPUT = """
<simulation verbosity='low'>
  <output prefix='run'>
    <properties stride='1'> [step, potential{{electronvolt}}] </properties>
    <trajectory filename='pos' stride='1' cell_units='angstrom'> positions{{angstrom}} </trajectory>
  </output>
  <total_steps> 5 </total_steps>
  <ffsocket mode='unix' name='driver'> <address> {name} </address> </ffsocket>
  <system>
    <initialize nbeads='1'>
      <file mode='ase'> cell.extxyz </file>
      <velocities mode='thermal' units='kelvin'> 600 </velocities>
    </initialize>
    <forces> <force forcefield='driver'/> </forces>
    <motion mode='dynamics'>
      <dynamics mode='nve'> <timestep units='femtosecond'> 1.0 </timestep> </dynamics>
    </motion>
    <ensemble> <temperature units='kelvin'> 600 </temperature> </ensemble>
  </system>
</simulation>
"""


@pytest.fixture
def name():
    return f"mdzoo_{uuid.uuid4().hex[:12]}"


def drive(model: Path, name: str) -> None:
    """The driver, a script of its own beside a server: `i-pi input.xml`."""
    atoms = silicon()
    atoms.calc = Calculator(model)
    SocketClient(unixsocket=name, timeout=60.0).run(atoms, use_stress=True)


def wait_for(path: Path, process: subprocess.Popen) -> None:
    """Until the server listens."""
    for _ in range(600):
        if path.exists():
            return
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.1)
    process.kill()
    raise AssertionError(f"{path} did not appear within a minute")


def test_a_server_is_given_energies_forces_and_stress(exported, name):
    """ASE's server, whose units are those of its client: to rounding, over moves of atoms and of the cell."""
    atoms, alone = silicon(rattle=0.05), Calculator(exported)
    with SocketIOCalculator(unixsocket=name, timeout=60.0) as server:
        driver = threading.Thread(target=drive, args=(exported, name), daemon=True)
        driver.start()
        atoms.calc = server
        for strain in (1.0, 1.02):
            atoms.set_cell(strain * atoms.cell, scale_atoms=True)
            atoms.rattle(0.02, seed=int(100 * strain))
            assert atoms.get_potential_energy() == pytest.approx(alone.get_potential_energy(atoms), rel=1e-13)
            np.testing.assert_allclose(atoms.get_forces(), alone.get_forces(atoms), rtol=0.0, atol=1e-12)
            np.testing.assert_allclose(atoms.get_stress(), alone.get_stress(atoms), rtol=0.0, atol=1e-13)
    driver.join(60.0)
    assert not driver.is_alive(), "it ends with its server"


def test_ipi_integrates(exported, name, tmp_path):
    """Its potential energies are those of its frames; 2e-7, as its electronvolts and those of ASE differ."""
    server = Path(sys.executable).parent / "i-pi"
    if not server.exists():
        pytest.skip("i-PI is not installed beside python (pip install 'mdzoo[metatomic]')")
    ase.io.write(tmp_path / "cell.extxyz", silicon())
    (tmp_path / "input.xml").write_text(INPUT.format(name=name))
    with subprocess.Popen(
        [sys.executable, server, "input.xml"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        wait_for(Path(f"/tmp/ipi_{name}"), process)
        drive(exported, name)
        said, _ = process.communicate(timeout=60.0)
    assert process.returncode == 0, said
    frames, alone = ase.io.read(tmp_path / "run.pos_0.xyz", ":"), Calculator(exported)
    energies = np.loadtxt(tmp_path / "run.out")[:, 1]
    assert len(frames) == len(energies) == 6
    for atoms, energy in zip(frames, energies, strict=True):
        atoms.set_cell(silicon().cell)
        atoms.pbc = True
        assert energy == pytest.approx(alone.get_potential_energy(atoms), rel=2e-7)
    assert np.abs(frames[-1].positions - frames[0].positions).max() > 1e-2
