"""What is embedded comes back within its quantisation, fits its bound, and says what it leaves out."""

import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imread

from tests.viz.make_run import write_run
from tests.viz.test_snapshots import Altered
from vmlkit.errors import DataError
from vmlkit.viz.blocks import MISSING, dequantize, quantize
from vmlkit.viz.following import following
from vmlkit.viz.hardness import hardness_scale
from vmlkit.viz.packing import Packed, pack
from vmlkit.viz.signals import POINTS
from vmlkit.viz.snapshots import RunView


@pytest.fixture(scope="module")
def packed(run_path: Path) -> Packed:
    return pack(run_path)


@pytest.fixture(scope="module")
def long_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("long") / "run", epochs=100, queries=12)


def test_quantisation_is_off_by_half_a_step_at_most() -> None:
    values = np.random.default_rng(0).uniform(-3, 5, 5000)
    error = abs(dequantize(quantize(values, -3, 5), -3, 5) - values)
    assert error.max() <= 8 / (MISSING - 1) / 2 * (1 + 1e-9)
    assert quantize(np.array([-9.0, 9.0, np.nan]), -3, 5).tolist() == [0, MISSING - 1, MISSING]


def test_every_proposal_comes_back(run_path: Path, packed: Packed) -> None:
    table = pd.read_parquet(run_path / "proposals.parquet").astype({"query_id": str, "role": str})
    table = table.set_index(["epoch", "query_id", "role", "index"])
    ids = [q["id"] for q in packed.meta["queries"]]
    assert sorted(ids) == [f"test/{k}" for k in range(6)]
    for name in ("center", "width", "start", "end", "weight", "nll"):
        entry, values = packed.meta["arrays"][name], packed.array(name)
        assert values.shape == (13, 6, 7)
        half = (entry["high"] - entry["low"]) / (MISSING - 1) / 2
        for e in packed.meta["epochs"]:
            for q, query in enumerate(ids):
                rows = [table.loc[(e, query, "positive", p), name] for p in range(4)]
                rows += [table.loc[(e, query, "negative", m), name] for m in range(3)]
                np.testing.assert_allclose(values[e, q], rows, atol=half + 1e-7, rtol=0)


def test_scores_answers_and_kinds_come_back(run_path: Path, packed: Packed) -> None:
    view = RunView(run_path)
    score, chosen, role = packed.array("score"), packed.array("chosen"), packed.array("role")
    for e, epoch in enumerate(packed.meta["epochs"]):
        for q, query in enumerate(packed.meta["queries"]):
            shot = view.snapshot(query["id"], epoch)
            np.testing.assert_allclose(score[e, q], [*shot.iou, *shot.ion], atol=1e-5)
            assert chosen[e, q] == shot.chosen
            assert tuple(packed.meta["negative_roles"][r] for r in role[e, q]) == shot.negative_roles


def test_hardness_and_its_scale_come_back(run_path: Path, packed: Packed) -> None:
    view, scale = RunView(run_path), hardness_scale(RunView(run_path))
    said = packed.meta["hardness"]
    assert (said["easy"], said["hard"], said["words"]) == (scale.easy, scale.hard, scale.words)
    assert set(said["stops"]) == {"light", "text", "dark"}
    hardness = packed.array("hardness")
    assert np.isnan(hardness[..., :4]).all(), "of negatives only"
    for e, epoch in enumerate(packed.meta["epochs"]):
        for q, query in enumerate(packed.meta["queries"]):
            shot = view.snapshot(query["id"], epoch)
            np.testing.assert_allclose(hardness[e, q, 4:], scale.place(scale.values(shot)), atol=1e-4)


def test_every_epoch_says_whether_windows_follow(run_path: Path, packed: Packed) -> None:
    assert packed.meta["following"] == [following(run_path, epoch) for epoch in packed.meta["epochs"]]
    assert all(packed.meta["following"])
    assert (packed.meta["planned"], packed.meta["steady"]) == (12, True)


def test_runs_with_a_clock_open_with_the_gap_and_the_clock(run_path: Path) -> None:
    view = RunView(run_path)
    epochs = view.epochs.assign(**{"dependence/negative NLL gap": np.linspace(0, 0.3, 13)})
    shown = [c for c in pack(Altered(run_path, epochs=epochs)).meta["curves"] if c["shown"]]
    assert [c["name"] for c in shown] == ["curriculum/c", "dependence/negative NLL gap"]
    assert shown[1]["title"] == "NLL(negative) − NLL(answer)"
    positives = view.proposals.query("role == 'positive'")
    plain = pack(Altered(run_path, epochs=epochs, proposals=positives)).meta["curves"]
    assert "dependence/negative NLL gap" not in [c["name"] for c in plain if c["shown"]], "a run without negatives"


def test_detections_that_are_ranked_anew_are_not_the_same_window(run_path: Path) -> None:
    table = RunView(run_path).proposals
    ragged = table[~((table["epoch"] == 3) & (table["index"] == 3))]
    assert not pack(Altered(run_path, proposals=ragged)).meta["steady"]


def test_curves_come_back_with_gaps(run_path: Path, packed: Packed) -> None:
    epochs = RunView(run_path).epochs
    curves = packed.meta["curves"]
    assert [c["name"] for c in curves] == [c for c in epochs.columns if "/" in c]
    assert [c["name"] for c in curves if c["shown"]] == ["loss/total", "metric/R@1,mIoU", "curriculum/c"]
    for c, column in enumerate(c["name"] for c in curves):
        np.testing.assert_allclose(packed.array("curves")[c], epochs[column].to_numpy(np.float32))
    assert np.isnan(packed.array("curves")[0, 0]), "there is no loss before training"
    assert packed.array("curve_epochs").tolist() == list(range(13))


def test_pictures_come_back_nearly_as_they_were(run_path: Path, packed: Packed) -> None:
    view = RunView(run_path)
    for query in packed.meta["queries"]:
        raw = packed.strip_bytes(query["video"])
        picture = imread(io.BytesIO(raw), format="jpeg")
        original = np.concatenate(list(view.film_strip(view.query(query["id"])["video_id"])), axis=1)
        assert picture.shape == original.shape
        assert abs(picture.astype(int) - original).mean() < 3


def test_traces_come_back(heat_path: Path) -> None:
    packed, view = pack(heat_path), RunView(heat_path)
    for query in packed.meta["queries"]:
        values = np.frombuffer(packed.strip_bytes(query["video"]), np.uint8) / 255
        heat = view.film_strip(view.query(query["id"])["video_id"]).astype(float)
        np.testing.assert_allclose(values, (heat - heat.min()) / np.ptp(heat), atol=1 / 255)


def test_arrays_are_aligned_and_little_endian(packed: Packed) -> None:
    assert all(entry["offset"] % 4 == 0 for entry in packed.meta["arrays"].values())
    code = packed.meta["arrays"]["center"]["offset"]
    first = packed.data[code] + 256 * packed.data[code + 1]
    assert first / (MISSING - 1) == pytest.approx(packed.array("center").flat[0])


def test_the_description_is_plain_json(packed: Packed) -> None:
    assert json.loads(json.dumps(packed.meta, allow_nan=False)) == packed.meta


def test_nothing_is_left_out_of_a_small_run(packed: Packed) -> None:
    assert packed.meta["left_out"] == ""
    assert packed.meta["epochs"] == list(range(13))


def test_a_long_run_is_thinned_and_says_so(long_path: Path) -> None:
    packed = pack(long_path, max_epochs=20, max_bytes=60_000)
    epochs, queries = packed.meta["epochs"], packed.meta["queries"]
    assert len(packed.data) <= 60_000
    assert len(epochs) == 20
    assert (epochs[0], epochs[1], epochs[-1]) == (0, 1, 100)
    assert 1 <= len(queries) < 12
    said = packed.meta["left_out"]
    assert "20 of 101 epochs" in said
    assert f"{len(queries)} of 12 queries" in said
    assert "60 kB" in said


def test_one_query_is_embedded_in_any_case(long_path: Path) -> None:
    assert len(pack(long_path, max_bytes=1).meta["queries"]) == 1


def test_queries_begin_with_the_largest_gain_and_the_worst_end(run_path: Path, packed: Packed) -> None:
    view = RunView(run_path)
    end = {q: view.snapshot(q, 12).chosen_iou for q in view.queries}
    gain = {q: end[q] - view.snapshot(q, 0).chosen_iou for q in view.queries}
    ids = [q["id"] for q in packed.meta["queries"]]
    assert ids[0] == max(gain, key=gain.get)
    assert ids[1] == min(end, key=end.get) == "test/4"


def test_runs_without_negatives_curves_or_pictures_are_packed(run_path: Path) -> None:
    class Bare:
        config = RunView(run_path).run.config
        probe = RunView(run_path).run.probe
        proposals = RunView(run_path).proposals.query("role == 'positive'")
        epochs = RunView(run_path).epochs[["epoch", "seconds"]]
        strips = None

    packed = pack(Bare())
    assert packed.meta["counts"] == {"positives": 4, "negatives": 0}
    assert packed.meta["curves"] == []
    assert packed.strip_bytes(0) is None
    assert packed.array("center").shape == (13, 6, 4)


def test_every_true_window_is_embedded(tmp_path: Path) -> None:
    meta = pack(write_run(tmp_path / "run", windows=True)).meta
    for query in meta["queries"]:
        assert len(query["truths"]) == 2
        assert query["truths"][1] == pytest.approx([0.9 * query["duration"], query["duration"]], abs=0.01)


def test_signals_span_their_video_without_its_padding(tmp_path: Path) -> None:
    path = write_run(tmp_path / "run", signals=True)
    stored = np.load(path / "clip_scores.npz")
    packed = pack(path)
    assert [s["name"] for s in packed.meta["signals"]] == ["saliency", "attention"]
    assert [s["shown"] for s in packed.meta["signals"]] == [True, False]
    values = packed.array("signal/saliency")
    assert values.shape == (13, 6, POINTS)
    assert np.isfinite(values).all(), "padding is cut off, not drawn"
    for q, query in enumerate(packed.meta["queries"]):
        row = stored["query_ids"].tolist().index(query["id"])
        original = stored["saliency"][12, row].astype(float)
        original = original[np.isfinite(original)]
        assert len(original) < 50 or row % 4 == 0
        peak = (np.argmax(values[12, q]) + 0.5) / POINTS
        assert abs(peak - (np.argmax(original) + 0.5) / len(original)) < 0.05
        assert values[12, q].max() == pytest.approx(original.max(), abs=0.02)


def test_an_epoch_without_signals_is_missing_and_wrong_shapes_are_refused(tmp_path: Path) -> None:
    path = write_run(tmp_path / "run", signals=True)
    stored = dict(np.load(path / "clip_scores.npz"))
    few = {k: v[:5] if v.ndim in (1, 3) and k != "query_ids" else v for k, v in stored.items()}
    np.savez(path / "clip_scores.npz", **few)
    values = pack(path).array("signal/saliency")
    assert np.isfinite(values[:5]).all()
    assert np.isnan(values[5:]).all()
    np.savez(path / "clip_scores.npz", **{**few, "saliency": np.zeros((5, 2, 9), np.float16)})
    with pytest.raises(DataError, match=r"the signal 'saliency' as float16 \(5, 2, 9\)"):
        pack(path)


def test_two_runs_share_queries_and_keep_their_own_numbers(run_path: Path, tmp_path: Path) -> None:
    other = write_run(tmp_path / "other", epochs=8, queries=4, name="toy", positives=1, negatives=2)
    packed = pack(run_path, other=other)
    meta = packed.meta
    assert (meta["name"], meta["other"]["name"]) == ("toy (1)", "toy (2)")
    named = pack(run_path, other=other, names=("this", "that")).meta
    assert (named["name"], named["other"]["name"]) == ("this", "that")
    assert {q["id"] for q in meta["queries"]} == {f"test/{k}" for k in range(4)}
    assert "Recorded by one run only, and left out: 2 queries." in meta["left_out"]
    assert meta["other"]["epochs"] == list(range(9))
    assert packed.array("center", run=1).shape == (9, 4, 3)
    view = RunView(other)
    for q, query in enumerate(meta["queries"]):
        shot = view.snapshot(query["id"], 8)
        np.testing.assert_allclose(
            packed.array("center", run=1)[8, q], [*shot.positives[:, 0], *shot.negatives[:, 0]], atol=1e-4
        )
    stranger = write_run(tmp_path / "stranger", queries=2)
    probe = json.loads((stranger / "probe.json").read_text())
    table = pd.read_parquet(stranger / "proposals.parquet")
    (stranger / "probe.json").write_text(json.dumps([{**q, "query_id": "x" + q["query_id"]} for q in probe]))
    table["query_id"] = "x" + table["query_id"].astype(str)
    table.to_parquet(stranger / "proposals.parquet", index=False)
    with pytest.raises(DataError, match="no recorded query in common"):
        pack(run_path, other=stranger)


def test_proposals_of_queries_that_the_run_does_not_list_are_refused(tmp_path: Path) -> None:
    path = write_run(tmp_path / "run", epochs=2, queries=2)
    frame = pd.read_parquet(path / "proposals.parquet")
    frame.assign(query_id="x").to_parquet(path / "proposals.parquet", index=False)
    with pytest.raises(DataError, match="has no proposals of the queries that it lists"):
        pack(path)
