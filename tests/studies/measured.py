"""A measured study in memory, with effects of known size, as ``vmlkit study run`` would have written it."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from vmlkit.studies.results import SCHEMA, Results

MADE = {
    "revision": "0123456789abcdef",
    "revisions": [],
    "versions": {"torch": "2.13.0"},
    "hardware": {"processor": "a processor", "capability": "AVX2"},
    "study": "0",
}


def study(
    effects: dict[str, float],
    claims: list[dict[str, Any]],
    *,
    seeds: int = 6,
    videos: int = 60,
    rising: tuple[str, ...] = (),
    primary: tuple[str, ...] = (),
    name: str = "known",
    dirty: bool = False,
) -> Results:
    """Rows whose mean IoU is 0.4 plus an effect, two queries a video, and the prior "whole video" at 0.3.

    Args:
        claims: fields of claims; ``metric`` is mean IoU, and ``class`` "ours", unless given.
        rising: rows whose validation curve rises to the end.
    """
    draws = np.random.default_rng(0)
    shared = draws.normal(0, 0.15, videos)
    lines = []
    for row, effect in {**effects, "whole video": -0.1}.items():
        of_row = [-1] if row == "whole video" else range(seeds)
        own = draws.normal(0, 0.03, videos)
        for seed in of_row:
            value = 0.4 + effect + shared + own + draws.normal(0, 0.01) + draws.normal(0, 0.05, (2, videos))
            for query, iou in enumerate(value.T.ravel().clip(0, 1)):
                lines.append({"row": row, "seed": seed, "query": query, "video": f"v{query // 2}", "iou1": iou})
    end = {row: 0.50 if row in rising else 0.452 for row in effects}
    curves = {row: [[2, 0.3], [4, 0.4], [8, 0.45], [10, end[row]]] for row in effects}
    end_of = {"chosen_epoch": 10, "made": 0}
    cells = [
        {"row": row, "seed": seed, "validation": curves[row], "test": {"attention_fnr": 0.5 + 0.01 * seed}, **end_of}
        for row in effects
        for seed in range(seeds)
    ]
    given = {"source": "", "metric": "R@1,mIoU", "class": "ours", "delta": 0.01, "premise": ""}
    record = {
        "schema": SCHEMA,
        "study": name,
        "title": f"A study called {name}",
        "note": "Made up.",
        "command": f"vmlkit study run {name}",
        "dirty": dirty,
        "metrics": ["R@1,mIoU", "R@1,IoU=0.5"],
        "primary": list(primary),
        "claims": [given | {"text": f"{c['better']} beats {c['worse']}"} | c for c in claims],
        "rows": {
            row: {
                "seeds": list(range(seeds)),
                "published": "",
                "selection": "R@1,mIoU",
                "settings": {"method": "lnp-cpl"},
            }
            for row in effects
        },
        "baselines": {"whole video": next(iter(effects))},
        "missing": [],
        "made": [MADE],
        "cells": cells,
    }
    types = {"row": "category", "seed": "int16", "query": "int32", "video": "category"}
    return Results(Path(f"results/studies/{name}.json"), record, pd.DataFrame(lines).astype(types))
