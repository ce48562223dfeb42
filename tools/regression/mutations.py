"""Faults that a page must notice: the package is broken inside the notebook's kernel, nothing on disk is changed.

``python -m tools.regression mutations`` (``make regression-mutations``) runs every notebook concerned with every fault;
a fault is caught where a number leaves its band, or where an assertion of the page fails.  Any other error is raised:
it would say that the fault cannot be run, not that the page noticed.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.regression.quantities import drift, load, recorded
from vmlkit.errors import DataError
from vmlkit.experiments import notebooks as nb

#: what a page writes, or does not need: a broken copy gets its own
OWN = {"figures", "runs", "notebooks", "site", ".git"}
TRAINING = ("00_tour", "01_cnm", "02_gaussian_proposals", "03_dual_signed_negatives", "04_bm_detr",
            "05_actions_with_text", "06_sentence_components", "07_your_own_video", "08_data_check")  # fmt: skip


@dataclass(frozen=True)
class Mutation:
    """A fault: code that runs before the first cell of a page, and the pages that must notice it."""

    what: str
    pages: tuple[str, ...]
    code: str


MUTATIONS = {
    "rate-0": Mutation(
        "every learning rate is 0",
        TRAINING,
        """
import vmlkit.training.bert_adam as _bert, vmlkit.training.optim as _optim
_optim.scheduled_lr = lambda updates, **schedule: 0.0
_bert.warmup_cosine = lambda fraction, warmup=0.1: 0.0
""",
    ),
    "shuffled-features": Mutation(
        "every toy video has the features of another one",
        TRAINING[:-1],
        """
import numpy as _numpy, vmlkit.data.toyworld.dataset as _toy
_made = _toy._dataset
_toy._dataset = lambda config, split, frames: _made(config, split, _numpy.roll(frames, 1, axis=0))
""",
    ),
    "sign-of-c": Mutation(
        "the sign of c in P0 Eq. (2) is flipped",
        ("03_dual_signed_negatives",),
        """
import vmlkit.reconstruction.lnp as _lnp
_sign = _lnp.dual_sign
_lnp.dual_sign = lambda *arguments: -_sign(*arguments)
""",
    ),
    "mask-form": Mutation(
        "a mask on probabilities acts on logits, and the reverse",
        ("00_tour", "01_cnm"),
        """
import vmlkit.nn.attention as _attention
_made_of, _other = _attention.Masking.__init__, {"prob": "logit", "logit": "prob"}
def _swapped(self, *arguments, form="prob", **more):
    _made_of(self, *arguments, form=_other[form], **more)
_attention.Masking.__init__ = _swapped
""",
    ),
    "off-by-one": Mutation(
        "where an IoU is computed, the end of the second span is a sixteenth of the video (one clip) too late",
        TRAINING,
        """
import numpy as _numpy, vmlkit.spans as _spans
def _late(measure):
    return lambda a, b, *more, **named: measure(a, _numpy.asarray(b) + [0, 1 / 16], *more, **named)
for _name in ("iou", "hull_iou", "sum_iou"):
    setattr(_spans, _name, _late(getattr(_spans, _name)))
""",
    ),
}


def mutated(notebook: Any, mutation: Mutation) -> Any:
    """A copy of a notebook (nbformat node) whose package is broken from its first cell on."""
    import nbformat

    edition = nbformat.from_dict(notebook)
    edition.cells.insert(0, nbformat.v4.new_code_cell(mutation.code.strip()))
    return edition


def chosen(names: list[str]) -> Iterator[tuple[str, str]]:
    """(mutation, page) of every fault that one of these pages must notice, or any page without names."""
    for key, mutation in MUTATIONS.items():
        yield from ((key, page) for page in mutation.pages if not names or page in names)


def caught(key: str, page: str, folder: Path) -> list[str]:
    """What the comparison says of a page with a fault; empty where the fault goes unnoticed.

    Args:
        key: of :data:`MUTATIONS`.
        page: name of the notebook.
        folder: a stand-in for the repository, in which the broken copy runs.

    Raises:
        NotebookFailed: where the page ended in an error that is no failed assertion.
    """
    source = next(path for path in nb.list_notebooks() if path.stem == page)
    copy = folder / "notebooks" / source.name
    copy.parent.mkdir(parents=True, exist_ok=True)
    nb.write(mutated(nb.read(source), MUTATIONS[key]), copy)
    try:
        parameters = {"size": "ci", "run_dir": str(folder / "runs" / page)}
        executed = nb.run_notebook(copy, folder / "executed", parameters)
    except nb.NotebookFailed as error:
        if not error.error.startswith("AssertionError"):
            raise
        return [f"{page}: {error.error}"]
    try:
        return drift(load(page), recorded(executed))
    except DataError as error:
        return [str(error)]
