"""The tables and figures of the five papers as data: every published cell, and what is known about it.

``p0.json`` to ``p4.json`` hold the records, :mod:`vmlkit.tables.records` reads and checks them,
:mod:`vmlkit.tables.priors` has the answers that never look at a video for the same columns, and
:mod:`vmlkit.tables.forms` writes all of it as text, CSV, Markdown, LaTeX and HTML.
"""

from vmlkit.tables.records import Column, PublishedRow, PublishedTable, every, find, load

__all__ = ["Column", "PublishedRow", "PublishedTable", "every", "find", "load"]
