"""What reaches the centers of CPL, what can be known of the true one, and CPL with levers."""

import dataclasses
from pathlib import Path

import pytest
import torch

from benchmarks.levers import __main__ as command
from benchmarks.levers.__main__ import LEVERS, Lever
from benchmarks.levers.model import LeveredCPL, Levers, known_of_the_center, slopes
from tests.reconstruction.batches import SHAPE, random_batch, small
from vmlkit.config import with_overrides
from vmlkit.errors import ConfigError
from vmlkit.methods import METHODS, preset
from vmlkit.reconstruction.cpl import CPLConfig
from vmlkit.reconstruction.reading import ReadingConfig
from vmlkit.runs import read_json
from vmlkit.text.masking import draw_masked_words
from vmlkit.training.method import Progress
from vmlkit.training.study import Row, Study

CLOCK = Progress(epoch=2, max_epochs=4)
SPANS = torch.tensor([[0.2, 0.1], [0.5, 0.3], [0.8, 0.2]])


def levered(centers: str = "token", **changes: object) -> LeveredCPL:
    torch.manual_seed(1)
    config = CPLConfig(reconstruction=small(), proposals=3, reading=ReadingConfig(centers=centers))  # type: ignore[arg-type]
    return LeveredCPL(config, SHAPE, Levers(**changes))  # type: ignore[arg-type]


def words() -> torch.Generator:
    return torch.Generator().manual_seed(5)


def test_a_share_of_the_words_is_hidden() -> None:
    batch = random_batch()
    counts = batch.word_mask.sum(dim=1)
    for one_in in (1, 2, 3):
        hidden = levered(hide_one_in=one_in).masked_words(batch, words()).sum(dim=1)
        assert torch.equal(hidden, (counts // one_in).clamp_min(1))
    plain = draw_masked_words(batch.word_weights, batch.word_mask, words())
    assert torch.equal(plain, levered().masked_words(batch, words()))


def test_the_head_begins_larger() -> None:
    plain, large = levered(), levered(head_scale=10.0)
    assert torch.equal(large.proposal_head.weight, 10 * plain.proposal_head.weight)
    assert torch.equal(large.proposal_head.bias, plain.proposal_head.bias)


def test_windows_are_taught_the_true_spans_and_then_released() -> None:
    model, batch = levered(taught_epochs=2).eval(), dataclasses.replace(random_batch(), spans=SPANS)
    found = model.positives(model.encode(batch, model.masked_words(batch, words())))
    apart = torch.stack((found.centers - SPANS[:, :1], found.widths - SPANS[:, 1:]))
    loss = model.training_loss(batch, CLOCK, words())
    assert float(loss.total.detach()) == pytest.approx(float(apart.abs().mean().detach()))
    assert set(loss.terms) == {"taught"}
    released = model.training_loss(batch, Progress(epoch=3, max_epochs=4), words())
    assert "taught" not in released.terms
    assert "nll" in released.terms


@pytest.mark.parametrize("centers", ["token", "sentence"])
def test_slopes_are_those_of_the_loss(centers: str) -> None:
    """Against a difference: all centers of one proposal moved together change the loss by the common part."""
    model, batch = levered(centers).eval().double(), dataclasses.replace(random_batch(), spans=SPANS)
    batch = dataclasses.replace(batch, **{n: getattr(batch, n).double() for n in ("frames", "words", "spans")})
    found = slopes(model, batch, CLOCK, words())
    offsets, place = model.proposal_head.bias.detach().view(-1, 2)[:, 0], 1e-6
    moved = []
    for k in range(3):
        losses = []
        for sign in (1, -1):
            offsets[k] += sign * place
            losses.append(float(model.training_loss(batch, CLOCK, words()).total))
            offsets[k] -= sign * place
        moved.append((losses[0] - losses[1]) / (2 * place))
    assert float(found["common"]) == pytest.approx(float(torch.tensor(moved).norm()), rel=1e-3)
    assert float(found["own"]) > 0
    assert 0 < float(found["open"]) <= 1
    assert float(found["towards"]) * 3 == pytest.approx(round(float(found["towards"]) * 3), abs=1e-5)


def test_a_saturated_head_is_not_open_and_without_spans_nothing_says_where_to() -> None:
    model = levered().eval()
    with torch.no_grad():
        model.proposal_head.bias.view(-1, 2)[:, 0] = 20.0
    found = model.diagnose(random_batch(), CLOCK, words())
    assert float(found["open"]) < 1e-5
    assert set(found) == {"common", "own", "open"}


def test_a_linear_reader_finds_what_is_there() -> None:
    """Clips and token of a planted generator: the token carries the true center, or nothing."""
    experiment = with_overrides(preset("cpl"), {"data.train_videos": 30, "data.validation_videos": 20,
                                                "data.test_videos": 3})  # fmt: skip
    splits = METHODS["cpl"].load(experiment.data, progress=False)
    torch.manual_seed(0)
    shape = dataclasses.replace(
        SHAPE, frame_dim=splits.train.frames.shape[-1], word_dim=splits.train.vectors.shape[-1],
        vocabulary=len(splits.train.vocabulary),
    )  # fmt: skip
    model = LeveredCPL(experiment.model, shape, Levers()).eval()
    places = model.front.read_places
    found = known_of_the_center(model, splits.train, splits.validation)
    assert model.front.read_places == places
    assert found["token"] < 0.2
    encode = model.encode

    def knowing(batch, masked):  # type: ignore[no-untyped-def]
        out = encode(batch, masked)
        split = next(s for s in (splits.train, splits.validation) if batch.query_ids[0] in s.query_ids)
        rows = [split.query_ids.index(q) for q in batch.query_ids]
        centers = torch.as_tensor(split.spans[rows].mean(axis=1), dtype=out.hidden.dtype)
        hidden = out.hidden.clone()
        hidden[:, -1, 0] = centers
        return dataclasses.replace(out, hidden=hidden)

    model.encode = knowing  # type: ignore[method-assign]
    assert known_of_the_center(model, splits.train, splits.validation)["token"] > 0.9


@pytest.mark.parametrize("changes", [{"hide_one_in": 0}, {"head_scale": 0.0}, {"taught_epochs": -1}])
def test_levers_out_of_range_are_refused(changes: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(changes))):
        Levers(**changes)  # type: ignore[arg-type]


def test_every_lever_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few = {"CPL": Lever(), "taught": Lever(levers=Levers(taught_epochs=1))}
    tiny = {"data.train_videos": 6, "data.validation_videos": 6, "data.test_videos": 3, "train.epochs": 3}
    study = Study(
        name="n", title="T", rows=(Row(name="CPL", experiment=with_overrides(preset("cpl"), tiny)),), claims=()
    )
    monkeypatch.setattr(command, "LEVERS", few)
    monkeypatch.setitem(command.STUDIES, "windows-cause", lambda: study)
    path = tmp_path / "levers.json"
    command.main(["--runs", str(tmp_path / "runs"), "--json", str(path)])
    record = read_json(path)
    found = record["rows"]
    assert record["command"] == "python -m benchmarks.levers --seeds 1"
    assert list(found) == ["CPL", "taught"]
    for one in found.values():
        assert set(one["known"]) == {"token", "clips"}
        assert [len(one["gradient"][name][0]) for name in ("own", "common", "open", "towards")] == [3] * 4
    assert found["CPL"]["end"] != found["taught"]["end"]
    assert "release" not in found["CPL"]
    assert len(found["taught"]["release"]) == 1, "one epoch of three is taught"


def test_the_record_has_every_lever() -> None:
    rows = read_json(Path(__file__).parents[2] / "benchmarks" / "results" / "levers.json")["rows"]
    assert list(rows) == list(LEVERS)
    for name, lever in LEVERS.items():
        assert rows[name]["levers"] == dataclasses.asdict(lever.levers)
        assert rows[name]["changed"] == lever.settings
