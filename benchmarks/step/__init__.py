"""The parts of ``benchmarks/card.py``: what is measured, how, and the page that shows it."""
