"""The terms of molecular force fields (AMBER, CHARMM): plain modules over tables of indices and of types."""
