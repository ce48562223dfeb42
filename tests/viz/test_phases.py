"""Start, turn and end are put into order without a legend: by overlap, and by the ink that lies on the moment."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from tests.viz.make_run import write_run
from tests.viz.test_snapshots import Altered
from vmlkit import spans
from vmlkit.config import with_overrides
from vmlkit.errors import DataError
from vmlkit.experiments.experiment import run_experiment
from vmlkit.methods import preset
from vmlkit.runs import RunDirectory
from vmlkit.viz.phases import in_order, negative_overlaps, turning_points
from vmlkit.viz.snapshots import RunView
from vmlkit.viz.style import use_style
from vmlkit.viz.timeline import draw_epochs

ORDER = ("start", "turn", "end")


def ink_on_the_moment(view: RunView, query: str, epoch: int) -> float:
    """Share of the amber to red ink below the base line that stands over the shaded seconds, from the pixels alone."""
    figure = draw_epochs(view, query, (epoch,))
    figure.set_dpi(80)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    red, green, blue = np.asarray(canvas.buffer_rgba())[..., :3].astype(int).transpose(2, 0, 1)
    lanes = figure.axes[1]
    height = red.shape[0]
    (left, floor), (right, base) = lanes.transData.transform([(lanes.get_xlim()[0], lanes.get_ylim()[0]),
                                                              (lanes.get_xlim()[1], 0)])  # fmt: skip
    ink = (red - blue > 45) & (red - green > 15)
    below = ink[height - int(base) : height - int(floor), int(left) : int(right)].sum(axis=0)
    ((start, end),) = view.truths(query)
    inside = [int(lanes.transData.transform((s, 0))[0] - int(left)) for s in (start, end)]
    return float(below[inside[0] : inside[1]].sum() / max(below.sum(), 1))


def shown(view: RunView, query: str) -> dict[str, float]:
    return {n: ink_on_the_moment(view, query, e) for n, e in zip(ORDER, turning_points(view), strict=True)}


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("phases") / "run")


@pytest.fixture(scope="module")
def gone_and_back(path: Path) -> Altered:
    """A run whose negatives leave their moment while c < 0 and come back further than they came from."""
    view, table = RunView(path), RunDirectory(path).proposals
    truth = {q: np.divide(view.query(q)["span_s"], view.query(q)["duration_s"]) for q in view.queries}
    moments = np.stack([truth[str(q)] for q in table["query_id"]])
    _, turn, end = turning_points(view)
    epoch = table["epoch"].to_numpy(dtype=float)
    distance = np.where(epoch <= turn, 0.14 + 0.3 * epoch / turn, 0.44 - 0.44 * (epoch - turn) / (end - turn))
    middle = moments.mean(axis=1)
    moved = np.stack([middle + np.where(middle < 0.5, 1, -1) * distance, np.full(len(table), 0.2)], axis=1)
    edges = spans.to_start_end(moved).clip(0, 1)
    negative = (table["role"] == "negative").to_numpy()
    new = {"center": moved[:, 0], "width": moved[:, 1], "start": edges[:, 0], "end": edges[:, 1]}
    new["iou"] = np.array([spans.iou(edge, moment) for edge, moment in zip(edges, moments, strict=True)])
    for name, values in new.items():
        table.loc[negative, name] = values[negative].astype(np.float32)
    return Altered(path, proposals=table)


@pytest.mark.parametrize("shuffled", [ORDER, ORDER[::-1], ("turn", "start", "end")])
def test_data_put_three_pictures_into_order(gone_and_back: Altered, shuffled: tuple[str, ...]) -> None:
    overlaps = negative_overlaps(RunView(gone_and_back))
    assert len(overlaps) == 6
    assert all(in_order({name: row[name] for name in shuffled}) == ORDER for _, row in overlaps.iterrows())


def test_pixels_put_three_pictures_into_order(gone_and_back: Altered) -> None:
    use_style()
    view = RunView(gone_and_back)
    assert all(in_order(shown(view, query)) == ORDER for query in view.queries)


def test_a_run_that_obeys_the_clock_alone_is_not_put_into_order(gone_and_back: Altered, path: Path) -> None:
    view = RunView(gone_and_back)
    first = view.proposals[view.proposals["epoch"] == 0].set_index(["query_id", "role", "index"])["iou"]
    keys = list(zip(*(view.proposals[c] for c in ("query_id", "role", "index")), strict=True))
    still = RunView(Altered(path, proposals=view.proposals.assign(iou=first.loc[keys].to_numpy())))
    overlaps = negative_overlaps(still).mean()
    assert overlaps["turn"] == overlaps["start"] == overlaps["end"]


def test_the_turn_is_the_last_epoch_below_zero(gone_and_back: Altered) -> None:
    view = RunView(gone_and_back)
    start, turn, end = turning_points(view)
    assert (start, end) == (0, 12)
    assert view.clock(turn) < 0 <= view.clock(turn + 1)


@pytest.mark.parametrize("lacking", ["clock", "negatives"])
def test_a_run_without_clock_or_negatives_is_refused(gone_and_back: Altered, path: Path, lacking: str) -> None:
    view = RunView(gone_and_back)
    changes = {
        "clock": {"epochs": view.epochs.drop(columns="curriculum/c")},
        "negatives": {"proposals": view.proposals.query("role == 'positive'")},
    }[lacking]
    with pytest.raises(DataError, match="no negatives whose c changes its sign"):
        turning_points(RunView(Altered(path, **changes)))


@pytest.mark.slow
def test_a_training_is_put_into_order_by_data_and_by_pixels(tmp_path: Path) -> None:
    settings = {"train.epochs": 20, "data.train_videos": 700, "data.test_videos": 10}
    experiment = with_overrides(preset("lnp-cpl", "toy", "ci", "follow-sentences"), settings)
    run_experiment(experiment, tmp_path / "run", progress=False)
    use_style()
    view = RunView(tmp_path / "run")
    negatives = view.proposals[view.proposals["role"] == "negative"]
    nearest = negatives.groupby(["epoch", "query_id"], observed=True)["iou"].max().groupby("epoch").mean()
    assert in_order({name: nearest[epoch] for name, epoch in zip(ORDER, turning_points(view), strict=True)}) == ORDER
    means = negative_overlaps(view).mean()
    assert means["turn"] < min(means["start"], means["end"])
    ink = [shown(view, query) for query in view.queries]
    assert in_order({name: np.mean([row[name] for row in ink]) for name in ORDER}) == ORDER
