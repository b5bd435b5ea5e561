"""The declared steps (处理步骤) of a contract, over whole columns.

They run in phases, among themselves in the contract's order: `texts` change what cells say (trim, map_missing,
map_codes); then types are read, by `times` where a contract says how dates are written; then values change or
are built (`units`, `timestamps`, `identifiers`). Which of equal keys stays (keep_latest) is found at the end of a
load, over all rows. No step drops or bends: what it has no result for refuses the row.
"""
