"""Runs that are stopped anywhere: at each file operation, at random instants, by full disks and by other writers."""
