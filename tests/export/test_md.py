"""Dynamics from the exported file: energy is kept, thermostats hold, explosions end with a word."""

import ase.io
import numpy as np
import pytest
from ase import Atoms, units

from mdzoo.export.md import line, run
from tests.export.models import silicon


def quiet(model, structure, **settings):
    return run(model, structure, progress=False, **settings)


def settled(repeat=1):
    """Return silicon stretched to where the soft test model keeps it."""
    return silicon(repeat, 0.05)


def test_nve_keeps_its_energy(exported):
    """Velocity Verlet of a smooth potential: fluctuations of the order of timestep squared, and a slope within them."""
    spreads = []
    for timestep in (2.0, 1.0):
        found = quiet(exported, settled(), steps=int(400 / timestep), timestep=timestep, interval=2)
        assert abs(found.drift) * found.time < 2 * found.spread
        spreads.append(found.spread)
    assert found.atoms == 8
    assert found.time == pytest.approx(0.4)
    assert spreads[1] < 0.1
    assert spreads[0] / spreads[1] == pytest.approx(4.0, rel=0.3)


def test_log_and_trajectory_hold_the_run(exported, tmp_path):
    atoms = settled()
    found = quiet(
        exported, atoms, steps=25, interval=10, trajectory=tmp_path / "a" / "t.extxyz", log=tmp_path / "a" / "log.csv"
    )
    frames = ase.io.read(tmp_path / "a" / "t.extxyz", index=":")
    log = np.genfromtxt(tmp_path / "a" / "log.csv", delimiter=",", names=True)
    assert log["step"].tolist() == [0, 10, 20, 25]
    assert log["time_ps"].tolist() == pytest.approx([0, 0.01, 0.02, 0.025])
    assert len(frames) == 4
    np.testing.assert_allclose(frames[-1].positions, atoms.positions, atol=1e-7)
    np.testing.assert_allclose([f.get_potential_energy() for f in frames], log["potential_eV"], atol=1e-6)
    np.testing.assert_allclose(frames[-1].get_forces(), atoms.get_forces(), atol=1e-7)
    np.testing.assert_allclose(log["potential_eV"] + log["kinetic_eV"], log["conserved_eV"], atol=1e-7)
    np.testing.assert_allclose(log["temperature_K"], log["kinetic_eV"] / (1.5 * 8 * units.kB), rtol=1e-6)
    assert found.steps == 25
    assert found.neighbor_lists >= 1


def test_binary_trajectory(exported, tmp_path):
    quiet(exported, settled(), steps=20, trajectory=tmp_path / "t.traj")
    assert len(ase.io.read(tmp_path / "t.traj", index=":")) == 3


def test_a_structure_comes_from_a_file(exported, tmp_path):
    ase.io.write(tmp_path / "cell.extxyz", settled())
    assert quiet(exported, tmp_path / "cell.extxyz", steps=2).atoms == 8


def test_a_seed_fixes_the_run(exported):
    ends = []
    for seed in (1, 1, 2):
        atoms = settled()
        quiet(exported, atoms, ensemble="langevin", steps=5, seed=seed)
        ends.append(atoms.positions)
    assert (ends[0] == ends[1]).all()
    assert (ends[0] != ends[2]).any()


def test_given_velocities_are_kept(exported):
    atoms = settled()
    atoms.set_velocities(np.full((8, 3), 0.01))
    quiet(exported, atoms, steps=1)
    np.testing.assert_allclose(atoms.get_momenta().sum(0), 8 * 28.085 * 0.01 * np.ones(3), rtol=1e-3)


def test_langevin_reaches_its_temperature(exported):
    """24 degrees of freedom, about 30 independent samples: 600 +- 600 sqrt(2/24/30) = 32 K, four times that."""
    found = quiet(exported, settled(), ensemble="langevin", steps=600, timestep=2.0, temperature=600.0, friction=0.05)
    assert found.temperature == pytest.approx(600.0, abs=130.0)
    assert np.isnan(found.drift)


def test_npt_reaches_its_pressure_and_keeps_its_energy(exported):
    atoms = settled()
    volume = atoms.cell.volume
    found = quiet(exported, atoms, ensemble="npt", steps=120, timestep=2.0, temperature=100.0, pressure=1.0, interval=1)
    assert atoms.cell.volume != volume
    assert np.isfinite(found.pressure)
    assert found.spread < 5.0


def test_molecules_move_too(exported):
    found = quiet(exported, Atoms("Si3", [[0, 0, 0], [2.3, 0, 0], [0, 2.4, 0.1]]), steps=10, timestep=0.5)
    assert np.isnan(found.pressure)
    assert np.isfinite(found.drift)


def test_explosions_end_with_a_word(exported, tmp_path):
    atoms = settled()
    atoms.set_velocities(np.random.default_rng(0).normal(0, 3, (8, 3)))
    with pytest.raises(RuntimeError, match="`structure` must stay together, got .* at step .*lower `timestep`"):
        quiet(exported, atoms, steps=50, timestep=20.0, log=tmp_path / "log.csv")
    assert (tmp_path / "log.csv").read_text().startswith("step,time_ps")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"engine": "gromacs"}, "`engine` must be one of .'ase', 'lammps', 'openmm'., got 'gromacs'"),
        ({"ensemble": "nvt"}, "`ensemble` must be one of .*got 'nvt'"),
        ({"steps": 0}, "`steps` must be at least 1, got 0"),
        ({"interval": 0}, "`interval` must be at least 1"),
        ({"temperature": -1.0}, "`temperature` must be at least 0"),
        ({"timestep": 0.0}, "`timestep` must be between 0 and 20 fs"),
        ({"trajectory": "t.dcd"}, "`trajectory` must end in one of .*got 't.dcd'"),
    ],
)
def test_bad_settings_are_named(exported, settings, message):
    with pytest.raises(ValueError, match=message):
        quiet(exported, settled(), **settings)


def test_npt_needs_a_periodic_cell(exported):
    with pytest.raises(ValueError, match="`structure` must be periodic in three directions"):
        quiet(exported, Atoms("Si2", [[0, 0, 0], [2.3, 0, 0]]), ensemble="npt")


def test_the_line_is_that_of_polyfit():
    rng = np.random.default_rng(0)
    x, y = rng.random(30), rng.random(30)
    slope, rest = np.polyfit(x, y, 1)
    assert line(x, y) == pytest.approx((slope, (y - slope * x - rest).std()))


def test_the_bar_shows(exported, capsys):
    run(exported, settled(), steps=2)
    assert "eV/atom" in capsys.readouterr().out
