"""Functions of one distance or one direction: cutoffs, radial functions, harmonics, couplings."""
