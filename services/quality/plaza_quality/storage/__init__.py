"""The schema `quality`, one repository per table or two, bound parameters only; and the scan of the lake."""
