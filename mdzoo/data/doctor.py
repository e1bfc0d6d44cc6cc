"""What a careful person checks before training: a report on the data, with what to do."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table

from mdzoo.data.datamodule import DataModule
from mdzoo.data.dataset import StructureSet
from mdzoo.data.environment import environment
from mdzoo.data.statistics import Odd, Ranges, close_pairs, closest_pair, net_forces, outliers, ranges
from mdzoo.data.strain_response import Component, Response, strain_response
from mdzoo.data.twins import ENERGY, twin_classes
from mdzoo.units import GPA

SHOWN = 5  # structures that a finding names
OFFSET = 0.2  # GPa, from which on an offset is worth a word
PART = 0.05  # of the stress itself, below which an offset may be the trapezoid's error
NORMAL, SHEAR = ("xx", "yy", "zz"), ("yz", "xz", "xy")


class Finding(NamedTuple):
    """One thing that was checked."""

    topic: str
    fine: bool
    text: str
    remedy: str = ""


class Report(NamedTuple):
    """What the doctor says."""

    ranges: list[Ranges]
    responses: dict[str, Response]  # by group
    findings: list[Finding]
    environment: dict[str, str]

    @property
    def warnings(self) -> list[Finding]:
        """The findings that ask for something."""
        return [finding for finding in self.findings if not finding.fine]


def doctor(data: DataModule, console: Console | None = None) -> Report:
    """Check the data, print what was found, and return it.

    Ranges, outliers, close pairs, net forces, copies within training and between training and test, missing labels, and
    the stress labels against the energies' own response to strain, for each group.
    """
    data.setup()
    report = examine(data)
    show(report, console or Console())
    return report


def examine(data: DataModule) -> Report:
    """Check the data without printing."""
    findings: list[Finding] = []
    tables: list[Ranges] = []
    for split, part in data.sets().items():
        closest = [closest_pair(atoms) for atoms in part.frames]
        tables += ranges(part, split, closest)
        findings += [
            missing_labels(part, split),
            odd_ones("outliers", split, outliers(part), "look at them; drop or weight them down if they are wrong"),
            odd_ones(
                "close pairs", split, close_pairs(part, closest), "check them, and have a short-range baseline (zbl)"
            ),
            odd_ones("net forces", split, net_forces(part), "converge the calculation or check the order of atoms"),
        ]
    findings += copies(data)
    responses, words = stresses(next(iter(data.sets().values())))
    return Report(tables, responses, findings + words, environment())


def missing_labels(part: StructureSet, split: str) -> Finding:
    """Count the labels that are absent, and forces that are zero everywhere."""
    absent = {label: sum(getattr(row, label) is None for row in part.rows) for label in ("energy", "forces", "stress")}
    forces = [row.forces for row in part.rows if row.forces is not None and len(row.forces) > 1]
    if len(forces) > 1 and not any(np.any(f) for f in forces):
        return Finding(f"labels, {split}", False, "all forces are zero", "set data.forces_key to the right column")
    counts = ", ".join(f"{n} without {label}" for label, n in absent.items() if n)
    return Finding(f"labels, {split}", True, f"{len(part)} structures" + (f", {counts}" if counts else ", all labels"))


def odd_ones(topic: str, split: str, odd: Sequence[Odd], remedy: str) -> Finding:
    """Make a finding of structures that stand out."""
    if not odd:
        return Finding(f"{topic}, {split}", True, "none")
    named = "; ".join(f"{one.name} ({one.group}): {one.what}" for one in odd[:SHOWN])
    more = f"; and {len(odd) - SHOWN} more" if len(odd) > SHOWN else ""
    return Finding(f"{topic}, {split}", False, f"{len(odd)} of them: {named}{more}", remedy)


def copies(data: DataModule) -> list[Finding]:
    """Report structures that are copies of one another by symmetry."""
    found = []
    if data.train_set is not None:
        kinds = twin_classes(data.train_set.frames, data.train_set.energies, energy=ENERGY)
        n = len(kinds) - len(np.unique(kinds))
        text = f"{n} of {len(kinds)} training structures are copies by symmetry of earlier ones" if n else "none"
        found.append(Finding("copies, train", True, text))
    if data.train_set is not None and data.test_set is not None:
        first = data.twins()
        groups = sorted({data.test_set.groups[k] for k in np.flatnonzero(first >= 0)})
        n = int((first >= 0).sum())
        text = f"{n} of {len(first)} test structures have a copy by symmetry in training ({', '.join(groups)})"
        remedy = "quote errors without them too (`test_without_twins` in metrics.json)"
        found.append(Finding("copies, test", n == 0, text if n else "none", remedy if n else ""))
    return found


def stresses(part: StructureSet) -> tuple[dict[str, Response], list[Finding]]:
    """Compare the stress labels of each group with the energies' response to strain."""
    responses, findings = {}, []
    for group in sorted(set(part.groups)):
        mine = [k for k, name in enumerate(part.groups) if name == group]
        response = strain_response([part.frames[k] for k in mine], [part.rows[k] for k in mine])
        if response.components:
            responses[group] = response
            findings += judge_stress(group, response)
    if not responses:
        text = "cannot be checked: no group holds enough structures that differ by a small strain"
        findings.append(Finding("stress and strain", True, text))
    return responses, findings


def judge_stress(group: str, response: Response) -> list[Finding]:
    """Say whether labels and energies differ by a constant pressure, and which components contradict the energies."""
    topic = f"stress and strain, {group}"
    off = [c for c in response.components if abs(c.offset) > max(OFFSET, 4.0 * c.error, PART * c.size)]
    wrong = [c for c in response.components if c.scatter > 0.5 * c.size]
    found = []
    if wrong:
        found.append(Finding(topic, False, contradiction(wrong), f"{units(response)}{mask(wrong, group)}"))
    normal = [c for c in off if c.name in NORMAL and c not in wrong]
    if normal:
        text = (
            f"energies and stress labels disagree by a constant pressure of {response.pressure:.2f} GPa on the diagonal"
        )
        remedy = (
            "do not fit the isotropic stress of these settings (a basis that changes with the cell?): data.stress_mask="
        )
        found.append(Finding(topic, False, f"{text} ({numbers(normal)})", remedy + "normal"))
    shear = [c for c in off if c.name in SHEAR and c not in wrong]
    if shear:
        text = f"labels are off by a constant in {numbers(shear)}"
        found.append(Finding(topic, False, text, mask(shear, group)))
    if not found:
        worst = max(response.components, key=lambda c: abs(c.offset) + c.scatter)
        text = f"labels agree with the energies in {', '.join(c.name for c in response.components)}"
        found.append(Finding(topic, True, f"{text}; worst {numbers([worst])}, scatter {worst.scatter:.2f} GPa"))
    return found


def numbers(components: Sequence[Component]) -> str:
    """Write offsets with their errors."""
    return ", ".join(f"{c.name} {c.offset:+.2f} +- {c.error:.2f} GPa" for c in components)


def contradiction(wrong: Sequence[Component]) -> str:
    """Write how far the labels are from the stress that the energies have."""
    parts = [f"{c.name} wrong by {c.scatter:.2g} GPa where the energies give {c.size:.2g}" for c in wrong]
    return "stress labels contradict the energies: " + ", ".join(parts)


def units(response: Response) -> str:
    """Name a unit or a sign that explains the factor between labels and energies."""
    for slope, name in ((-1.0, "the opposite sign"), (1 / GPA, "GPa"), (0.1 / GPA, "kbar"), (-0.1 / GPA, "-kbar")):
        if abs(response.slope / slope - 1.0) < 0.2:
            return f"the labels look like {name}, make them eV/Angstrom^3 in ASE's sign; else "
    return ""


def mask(wrong: Sequence[Component], group: str) -> str:
    """Write the rule that leaves the components out."""
    names = [c.name for c in wrong]
    parts = "shear" if sorted(names) == sorted(SHEAR) else "[" + ", ".join(names) + "]"
    return f"mask them: data.stress_mask=[{{components: {parts}, groups: [{group}]}}]"


def span(low: float, high: float) -> str:
    """Write a range, one number where both ends are the same, a dash where there is none."""
    if np.isnan(low):
        return "-"
    return f"{low:.4g}" if f"{low:.4g}" == f"{high:.4g}" else f"{low:.4g} .. {high:.4g}"


def show(report: Report, console: Console) -> None:
    """Print a report."""
    table = Table("split", "group", "structures", "atoms", "eV/atom", "max force", "pressure", "volume/atom", "closest")
    for row in report.ranges:
        energy, pressure, volume = (span(*ends) for ends in (row.energy, row.pressure, row.volume))
        force, closest = span(row.force, row.force), span(row.closest, row.closest)
        counts = str(row.structures), str(row.atoms)
        table.add_row(row.split, row.group, *counts, energy, force, pressure, volume, closest)
    console.print(table)
    console.print("forces in eV/Angstrom, pressures in GPa, lengths in Angstrom", style="dim")
    for finding in report.findings:
        console.print(f"[{'green' if finding.fine else 'bold red'}]{'ok' if finding.fine else '!!'}[/] ", end="")
        console.print(f"{finding.topic}: {finding.text}", markup=False, highlight=False)
        if finding.remedy:
            console.print(f"   -> {finding.remedy}", markup=False, highlight=False)
    console.print(", ".join(f"{k} {v}" for k, v in report.environment.items()), style="dim", markup=False)
