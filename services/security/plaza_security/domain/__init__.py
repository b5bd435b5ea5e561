"""Pure rules: leaves, gradings, agreements, grants, the bundle."""
