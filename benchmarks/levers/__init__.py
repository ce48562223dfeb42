"""CPL with something changed that no paper leaves open: taught with true spans, a larger head, all words hidden."""
