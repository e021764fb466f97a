"""Definition text -> diagnostics -> plan. Pure: no I/O, no clock."""
