"""The perfect crystal: energy against volume, and stress against strain."""

from typing import Any

import numpy as np
from ase import Atoms

from mdzoo.evaluate.properties.calculator import relax
from mdzoo.units import GPA

VOIGT = [(0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1)]  # ASE's order: xx yy zz yz xz xy


def strained(atoms: Atoms, strain: np.ndarray) -> Atoms:
    """Return a copy deformed by `1 + strain` with its atoms."""
    out = atoms.copy()
    out.set_cell(atoms.cell.array @ (np.eye(3) + strain), scale_atoms=True)
    out.calc = atoms.calc
    return out


def equation_of_state(crystal: Atoms, widest: float = 0.06, points: int = 9) -> dict[str, Any]:
    """Return `volume` and `curve` (Angstrom^3 and eV per atom) and B (GPa) and B' of their Birch-Murnaghan fit.

    `E = sum_k c_k x^k`, k = 0 to 3, `x = V^(-2/3)` (Birch, DOI 10.1103/PhysRev.71.809); ions relax at every volume.

    Arguments:
        crystal: relaxed, with a calculator.
        widest: largest relative change of the volume.
        points: volumes.
    """
    lengths = np.linspace(1.0 - widest, 1.0 + widest, points) ** (1.0 / 3.0)
    cells = [relax(strained(crystal, (s - 1.0) * np.eye(3))) for s in lengths]
    volume = np.array([atoms.cell.volume / len(atoms) for atoms in cells])
    curve = np.array([atoms.get_potential_energy() / len(atoms) for atoms in cells])
    bulk, slope = birch_murnaghan(volume, curve)
    return {"B": bulk * GPA, "B'": slope, "volume": volume.tolist(), "curve": curve.tolist()}


def birch_murnaghan(volume: np.ndarray, energy: np.ndarray) -> tuple[float, float]:
    """Return the bulk modulus (energy / volume) at the minimum of the fit, and its derivative by pressure."""
    scale = np.median(volume)
    x = (volume / scale) ** (-2.0 / 3.0)
    fit = np.polynomial.Polynomial.fit(x, energy, 3).convert()
    roots = fit.deriv().roots()
    at = min((float(root.real) for root in roots if abs(root.imag) < 1e-9), key=lambda root: abs(root - 1.0))
    first, second = -2.0 / 3.0 * at**2.5, 10.0 / 9.0 * at**4  # derivatives of x by V / scale
    e2 = fit.deriv(2)(at) * first**2
    e3 = fit.deriv(3)(at) * first**3 + 3.0 * fit.deriv(2)(at) * first * second
    v = at**-1.5
    return float(v * e2 / scale), float(-1.0 - v * e3 / e2)


def elastic_constants(crystal: Atoms, step: float = 1e-3, ions: bool = True) -> np.ndarray:
    """Return C (6, 6) in GPa, `C_ij = d stress_i / d strain_j` by central differences, in ASE's Voigt order.

    Arguments:
        crystal: relaxed, with a calculator.
        step: of the strain; shears are engineering strains.
        ions: whether they relax at each strain; else they follow it.
    """
    columns = []
    for j, (a, b) in enumerate(VOIGT):
        strain = np.zeros((3, 3))
        strain[a, b] = strain[b, a] = step if j < 3 else 0.5 * step
        ends = [strained(crystal, sign * strain) for sign in (1.0, -1.0)]
        plus, minus = ((relax(atoms) if ions else atoms).get_stress() for atoms in ends)
        columns.append((plus - minus) / (2.0 * step))
    matrix = np.stack(columns, 1) * GPA
    return 0.5 * (matrix + matrix.T)


def named_constants(matrix: np.ndarray, ending: str = "") -> dict[str, float]:
    """Return them by name: three for a cubic crystal along its axes, else all that are not zero."""
    cubic = np.zeros((6, 6))
    cubic[:3, :3] = matrix[:3, :3].sum() / 6.0 - np.trace(matrix[:3, :3]) / 6.0
    np.fill_diagonal(cubic[:3, :3], np.trace(matrix[:3, :3]) / 3.0)
    np.fill_diagonal(cubic[3:, 3:], np.trace(matrix[3:, 3:]) / 3.0)
    if np.abs(matrix - cubic).max() < 1e-2 * np.abs(matrix).max():
        return {f"C{n}{ending}": float(cubic[i, j]) for n, i, j in (("11", 0, 0), ("12", 0, 1), ("44", 3, 3))}
    acting = np.abs(matrix) > 1e-4 * np.abs(matrix).max()
    places = [(i, j) for i in range(6) for j in range(i, 6) if acting[i, j]]
    return {f"C{i + 1}{j + 1}{ending}": float(matrix[i, j]) for i, j in places}
