"""The schema `catalogue`: one repository per table or two, bound parameters only."""
