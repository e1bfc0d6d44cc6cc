"""What an eV is: constants with their source, in eV, Angstrom, fs and atomic mass units."""

GPA = 160.21766208  # GPa in one eV/Angstrom^3; CODATA 2014, the set of ASE and of LAMMPS's metal units
KB = 8.617333262e-5  # Boltzmann's constant, eV/K; CODATA 2018
MEV = 1e-3  # eV
COULOMB_LAMMPS_METAL = 14.399645  # e^2 / (4 pi epsilon_0), eV Angstrom; LAMMPS, units metal (update.cpp)
