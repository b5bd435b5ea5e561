"""The schema `open_data` and the files of releases: one repository per table or two, bound parameters only."""
