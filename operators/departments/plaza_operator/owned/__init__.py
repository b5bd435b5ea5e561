"""One file for each thing that a department owns: what it must look like, and how it comes and goes."""
