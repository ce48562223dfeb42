"""Pages that fail when a number drifts: what notebooks record, compared with ``tests/regression/NAME.json``."""
