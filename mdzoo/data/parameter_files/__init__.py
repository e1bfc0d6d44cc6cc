"""Which numbers does a published parameter file hold? Readers into plain tables that potentials take."""
