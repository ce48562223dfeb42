"""Weakly supervised video-language localisation: five papers, one package."""

__version__ = "0.1.0"
