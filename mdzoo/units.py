"""What an eV is: constants with their source, in eV, Angstrom, fs and atomic mass units."""

GPA = 160.21766208  # GPa in one eV/Angstrom^3; CODATA 2014, the set of ASE and of LAMMPS's metal units
KB = 8.617333262e-5  # Boltzmann's constant, eV/K; CODATA 2018
MEV = 1e-3  # eV
HARTREE = 27.211386245988  # eV; CODATA 2018
BOHR = 0.529177210903  # Angstrom; CODATA 2018
KJ_MOL = 1.0 / 96.48533212331001  # eV in one kJ/mol; CODATA 2018 (exact), the set of OpenMM
COULOMB_LAMMPS_METAL = 14.399645  # e^2 / (4 pi epsilon_0), eV Angstrom; LAMMPS, units metal (update.cpp)

# e^2 / (4 pi epsilon_0) in eV Angstrom as each source has it: compare with an engine under the engine's set.
COULOMB = {
    "codata": 14.3996454784255,  # CODATA 2018
    "lammps_metal": COULOMB_LAMMPS_METAL,
    "lammps_real": 332.06371 / 23.060549,  # update.cpp's qqr2e, kcal/mol, by its kcal/mol in one eV
    "openmm": 14.3996454784255,  # of CODATA 2018 too (SimTKOpenMMRealType.h)
    "amber": 18.2223**2 * 4.184 * KJ_MOL,  # the factor of charges in a prmtop, squared, kcal/mol
    "charmm": 332.0716 * 4.184 * KJ_MOL,  # CCELEC, kcal/mol
    "reaxff": 14.4,  # ReaxFF's charge equilibration (fix_qeq_reaxff.cpp)
}


def coulomb_constant(constants: str) -> float:
    """Return e^2 / (4 pi epsilon_0) in eV Angstrom of a named set of constants."""
    if constants not in COULOMB:
        raise ValueError(f"`constants` must be one of {list(COULOMB)}, got {constants}; choose codata, or an engine's")
    return COULOMB[constants]
