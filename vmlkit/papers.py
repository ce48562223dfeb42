"""The five papers by key, P0 to P4, and the labels of their equations, tables, figures and sections.

The whole repository cites in one form, ``KEY LABEL``, for instance ``P0 Eq. (3)``, ``P0 Table 5a``, ``P1 Fig. 2`` or
``P2 Sec. 3.2``.  ``papers.json`` beside this file names every label that the papers have, in our own words.
"""

import json
import re
from functools import cache
from importlib.resources import files
from typing import Any

from vmlkit.errors import ConfigError

_CITATION = re.compile(r"\b(P\d) ((?:Eq\. \(\d+\))|(?:(?:Table|Fig\.) \d+[a-z]?\b)|(?:Sec\. \d+(?:\.\d+)*))")


@cache
def papers() -> dict[str, dict[str, Any]]:
    """Every paper by its key: ``title``, ``short``, ``venue``, ``year``, public page (``at``, ``url``), ``labels``."""
    text = files("vmlkit").joinpath("papers.json").read_text(encoding="utf-8")
    return dict(json.loads(text))


def label(citation: str) -> str:
    """What a citation is about.

    >>> label("P0 Eq. (3)")
    'dual-signed cross-entropy loss'

    Raises:
        ConfigError: if there is no such paper, or the paper has no such label.
    """
    key, _, name = citation.partition(" ")
    if key not in papers():
        raise ConfigError(f"'{citation}' names no paper of this repository: begin with one of {', '.join(papers())}.")
    if name not in papers()[key]["labels"]:
        raise ConfigError(f"{key} has no '{name}': take one of its labels in vmlkit/papers.json.")
    return str(papers()[key]["labels"][name])


def citations(text: str) -> list[str]:
    """All citations in ``text``, in its order, whether or not their labels exist.

    >>> citations("the mask of P1 Eq. (4), ablated in P1 Table 3")
    ['P1 Eq. (4)', 'P1 Table 3']
    """
    return [match.group() for match in _CITATION.finditer(text)]
