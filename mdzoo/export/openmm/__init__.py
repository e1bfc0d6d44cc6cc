"""Exported models as forces of OpenMM, for whole systems or a region of them, and dynamics with them."""
