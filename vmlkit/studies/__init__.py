"""Claims measured: what a study stores, what its numbers allow to be said, and the pages that say it."""
