"""Pictures of single questions that figures of the papers have, from the runs that ``vmlkit table`` has trained.

The questions are the first two that a run recorded: nothing is chosen by how it came out.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from vmlkit.errors import ConfigError
from vmlkit.runs import RunDirectory
from vmlkit.studies.cells import Store, cells_of
from vmlkit.tables.regenerate import Plan

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from vmlkit.viz.snapshots import RunView

#: questions of a figure
QUESTIONS = 2
#: kinds of negatives whose similarities P4 Fig. 5 shows
SIMILAR = {"changed_verb": "changed verb", "negated_passive": "negated passive"}

Named = Sequence[tuple[str, RunDirectory]]
Drawings = Iterator[tuple[str, "Figure"]]


def pictures(plan: Plan, seed: int = 0) -> Drawings:
    """(what to add to the name of the file, figure) of the runs of a plan with one seed; none of a plan without any.

    Raises:
        ConfigError: where no run of that seed is finished.
    """
    draws = plan.table.draws
    if draws is None or not draws.picture:
        return
    store = Store()
    cells = [cell for cell in cells_of(plan.study, seed + 1) if cell.seed == seed]
    runs = [(cell.row.name, store.run(cell)) for cell in cells if store.summary(cell) is not None]
    if not runs:
        raise ConfigError(f"no run of {plan.table.id} with seed {seed} is in {store.root}: measure it without --figure")
    yield from _KINDS[draws.picture](runs)


def _epochs(runs: Named) -> Drawings:
    """Windows of a question over the epochs, a figure for each."""
    from vmlkit.viz.timeline import draw_epochs

    for i, query in enumerate(runs[0][1].probe[:QUESTIONS]):
        for name, run in runs:
            suffix = f"-{name}" if len(runs) > 1 else ""
            yield f"-query-{i}{suffix}".replace(" ", "-"), draw_epochs(run, query["query_id"])


def _signals(runs: Named) -> Drawings:
    """Truth, signals and answer of a question at the last epoch, a row for each run, a figure for each question."""
    from vmlkit.viz.actions import draw_signals
    from vmlkit.viz.snapshots import RunView
    from vmlkit.viz.style import new_figure

    for i, query in enumerate(runs[0][1].probe[:QUESTIONS]):
        figure = new_figure(figsize=(8.0, 0.9 + 1.3 * len(runs)), layout="constrained")
        for ax, (name, run) in zip(figure.subplots(len(runs), 1, squeeze=False)[:, 0], runs, strict=True):
            view = RunView(run)
            signals, truth = _signals_of(run, query["query_id"]), view.truths(query["query_id"])
            draw_signals(ax, signals, float(query["duration_s"]), truth, np.array([_answer(view, query)]))
            ax.set_ylabel(name, rotation=0, ha="right", va="center")
            ax.legend(fontsize=6, ncols=3, loc="upper right")
        figure.suptitle(str(query["sentence"]), fontsize=9)
        yield f"-query-{i}", figure


def _signals_of(run: RunDirectory, query_id: str) -> dict[str, np.ndarray]:
    """The last recorded signals of a question; an attention, which sums to one, is divided by its largest value."""
    found = run.clip_scores
    row = found["query_ids"].tolist().index(query_id)
    last = {name: found[name][-1, row].astype(float) for name in ("class_activation", "attention", "probability")
            if name in found}  # fmt: skip
    return {name: np.clip(values / max(np.nanmax(values), 1.0 if name != "attention" else 1e-9), 0, 1)
            for name, values in last.items()}  # fmt: skip


def _importance(runs: Named) -> Drawings:
    """Answers of all runs to a sentence, and how the last run weighs the sentence's negatives."""
    from vmlkit.viz.snapshots import RunView
    from vmlkit.viz.style import ROLES, new_figure

    weights, names = _weights(runs[-1][1])
    for i, query in enumerate(runs[0][1].probe[:QUESTIONS]):
        figure = new_figure(figsize=(9.0, 0.9 + 0.4 * len(runs)), layout="constrained")
        left, right = figure.subplots(1, 2, width_ratios=(2, 1))
        lines = [("truth", *query["span_s"], ROLES["truth"].color)]
        lines += [(name, *_answer(RunView(run), query), ROLES["chosen"].color) for name, run in runs]
        for place, (_, start, end, color) in enumerate(lines):
            left.barh(place, end - start, left=start, color=color)
        left.set(yticks=range(len(lines)), yticklabels=[line[0] for line in lines], xlabel="seconds",
                 xlim=(0, float(query["duration_s"])))  # fmt: skip
        left.invert_yaxis()
        own = weights[query["query_id"]]
        right.barh(range(len(names)), own, color=ROLES["negative"].color)
        right.set(yticks=range(len(names)), yticklabels=names, xlabel="importance", xlim=(0, 1))
        right.invert_yaxis()
        figure.suptitle(str(query["sentence"]), fontsize=9)
        yield f"-query-{i}", figure


def _answer(view: "RunView", query: dict[str, Any]) -> tuple[float, float]:
    """Start and end in seconds of a run's answer at its last epoch; nothing at 0 where it has none."""
    shot, duration = view.snapshot(query["query_id"], view.pick_epochs((-1,))[0]), float(query["duration_s"])
    first = shot.spans[0] * duration if len(shot.spans) else (0.0, 0.0)
    return shot.answer_s(duration) or (float(first[0]), float(first[1]))


def _weights(run: RunDirectory) -> tuple[dict[str, np.ndarray], list[str]]:
    """The importance of every negative of the recorded sentences, which are of the validation split."""
    import torch

    from vmlkit.experiments.experiment import load_run, task_of

    method, splits, experiment = load_run(run.path, progress=False)
    task, train = task_of(experiment), experiment.train
    rows = torch.as_tensor(task.probe(splits.validation, train.probe_queries, train.seed))
    own: Any = method.eval()
    weights = own.importances(task.batch(splits.validation, rows, 0)).cpu().numpy()
    ids = [query["query_id"] for query in run.probe]
    return dict(zip(ids, weights, strict=True)), [name.replace("_", " ") for name in own.names]


def _similarities(runs: Named) -> Drawings:
    """Similarities of test sentences to their positives and to two kinds of negatives, before and after training."""
    from vmlkit.components.task import compare_split
    from vmlkit.experiments.experiment import build, load_run
    from vmlkit.viz.components import draw_similarities

    for name, run in runs:
        method, splits, experiment = load_run(run.path, progress=False)
        fresh: Any = build(experiment, splits.train)
        panels = {}
        models: dict[str, Any] = {"before": fresh, "after": method}
        for when, model in models.items():
            found = compare_split(model.host, splits.test, "own")
            for kind, said in SIMILAR.items():
                if kind not in found.names:
                    continue
                column = found.names.index(kind)
                known = found.valid[:, column]
                panels[f"{said}, {when} training"] = (found.positive[known], found.negatives[known, column])
        shown = {title: pair for title, pair in panels.items() if len(pair[0])}
        yield f"-{name}".replace(", ", "-").replace(" ", "-"), draw_similarities(shown)


_KINDS: dict[str, Callable[[Named], Drawings]] = {
    "epochs": _epochs, "signals": _signals, "importance": _importance, "similarities": _similarities,
}  # fmt: skip
