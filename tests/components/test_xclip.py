"""X-CLIP on resident features: its text encoder, its frames, tiles, and that it can learn."""

from pathlib import Path

import jaxtyping
import pytest
import torch

from tests.reconstruction.batches import SHAPE, random_batch
from vmlkit.components.xclip import XCLIP, TextEncoder, XCLIPConfig, XCLIPCore, frame_positions
from vmlkit.components.xclip_heads import TextStates
from vmlkit.errors import ConfigError, DataError
from vmlkit.released import load_checkpoint
from vmlkit.training.method import Progress
from vmlkit.training.optim import ScheduledAdam

NOW = Progress(1, 1, 0)
SIZES = {"width": 8, "heads": 2, "words": 7, "frames": 4, "temporal_layers": 1, "text_layers": 1, "positions": 9}


def model(**settings: object) -> XCLIP:
    torch.manual_seed(2)
    return XCLIP(XCLIPConfig(**{**SIZES, **settings}), SHAPE.frame_dim, SHAPE.word_dim)  # type: ignore[arg-type]


def test_padding_never_reaches_the_words_before_it() -> None:
    encoder, batch = TextEncoder(SHAPE.word_dim, XCLIPConfig(**SIZES)).eval(), random_batch()  # type: ignore[arg-type]
    states = encoder(batch.words, batch.word_mask)
    spoilt = torch.where(batch.word_mask[..., None], batch.words, 9.0)
    again = encoder(spoilt, batch.word_mask)
    torch.testing.assert_close(again.sentence, states.sentence)
    torch.testing.assert_close(again.words[states.mask], states.words[states.mask])
    assert not torch.allclose(again.words[~states.mask], states.words[~states.mask])
    assert states.mask.sum(1).tolist() == [count + 1 for count in batch.word_mask.sum(1).tolist()]


def test_the_sentence_is_the_state_of_the_end_token_and_knows_the_order_of_words() -> None:
    encoder, batch = TextEncoder(SHAPE.word_dim, XCLIPConfig(**SIZES)).eval(), random_batch()  # type: ignore[arg-type]
    states = encoder(batch.words, batch.word_mask)
    for i, count in enumerate(batch.word_mask.sum(1).tolist()):
        assert torch.equal(states.sentence[i], states.words[i, count])
    swapped = batch.words[:, [1, 0, 2, 3, 4]]
    assert not torch.allclose(encoder(swapped, batch.word_mask).sentence, states.sentence)


def test_long_texts_are_cut_and_keep_their_end_token() -> None:
    encoder = TextEncoder(SHAPE.word_dim, XCLIPConfig(**{**SIZES, "words": 3}))  # type: ignore[arg-type]
    batch = random_batch()
    states = encoder(batch.words, batch.word_mask)
    assert states.words.shape[1] == 3
    assert bool(states.mask.all())


def test_frames_are_spread_evenly_and_short_videos_are_padded() -> None:
    assert frame_positions(64, 12).tolist()[0] == 0
    assert frame_positions(64, 12).tolist()[-1] == 63
    net, batch = model(frames=6), random_batch()
    states = net.encode_videos(batch.frames[:, :3], batch.frame_mask[:, :3])
    assert states.frames.shape[1] == 6
    assert states.mask.sum(1).tolist() == [3, 3, 3]
    torch.testing.assert_close(states.video.norm(dim=1), torch.ones(3))


def test_tiles_give_the_same_matrix() -> None:
    net, batch = model().eval(), random_batch()
    texts, videos = net.encode_texts(batch.words, batch.word_mask), net.encode_videos(batch.frames, batch.frame_mask)
    whole = net.core.scores(texts, videos).logits
    torch.testing.assert_close(net.core.logits(texts, videos, tile=2), whole)
    part = TextStates(texts.sentence[:1], texts.words[:1], texts.mask[:1])
    torch.testing.assert_close(net.core.logits(part, videos, tile=2), whole[:1])


@pytest.mark.parametrize("mask_padding", [False, True])
def test_it_learns_three_pairs_by_heart(mask_padding: bool) -> None:
    net, batch, draws = model(mask_padding=mask_padding), random_batch(), torch.Generator()
    optimizers = {"all": ScheduledAdam(net.parameters(), lr=5e-3, warmup_updates=0)}
    first = net.training_loss(batch, NOW, draws).total.item()
    for _ in range(60):
        last = net.step(batch, NOW, draws, optimizers).total.item()
    assert last < 0.3 * first
    assert net.curriculum(NOW)["scale"] <= 100.0001


def test_settings_are_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    for wrong, word in (({"width": 9}, "multiple"), ({"frames": 0}, "frames"), ({"frames": 12}, "positions")):
        with pytest.raises(ConfigError, match=word):
            XCLIPConfig(**{**SIZES, **wrong})  # type: ignore[arg-type]


@pytest.mark.parametrize("header", ["seqTransf", "seqLSTM", "meanP"])
def test_a_released_checkpoint_loads_by_its_own_names(header: str, tmp_path: Path) -> None:
    """As saved by the released program: CLIP's weights are there too, and float16."""
    core = XCLIPCore(XCLIPConfig(**{**SIZES, "header": header}))  # type: ignore[arg-type]
    theirs = {
        "temporal.positions.": "frame_position_embeddings.", "temporal.blocks.": "transformerClip.resblocks.",
        "temporal.lstm.": "lstm_visual.", "attention_norm.": "ln_1.", "mlp_norm.": "ln_2.", "attention.": "attn.",
        "expand.": "mlp.c_fc.", "contract.": "mlp.c_proj.", "in_proj.": "in_proj_", "heads.video_sentence":
        "global_mat_weight", "heads.local": "local_mat_weight", "heads.video_words": "word_logit_weight",
        "heads.words_first": "word_mat_weight", "heads.words_second": "word_mat_weight2",
        "heads.sentence_frames": "frame_logit_weight", "heads.frames_first": "frame_mat_weight",
        "heads.frames_second": "frame_mat_weight2", "logit_scale": "clip.logit_scale",
    }  # fmt: skip
    state = {"clip.visual.proj": torch.zeros(3, 3).half(), "clip.token_embedding.weight": torch.zeros(5, 3)}
    for name, value in core.state_dict().items():
        for ours, released in theirs.items():
            name = name.replace(ours, released)
        state[f"module.{name}"] = value + 1
    if header == "seqLSTM":  # made by the released program, and never read
        state["module.frame_position_embeddings.weight"] = torch.zeros(77, 8)
    torch.save(state, tmp_path / "best.pth")
    fresh = XCLIPCore(core.config)
    load_checkpoint(tmp_path / "best.pth", fresh, "xclip")
    for (name, one), (_, other) in zip(fresh.state_dict().items(), core.state_dict().items(), strict=True):
        torch.testing.assert_close(one, other + 1, msg=name)


def test_a_tight_checkpoint_is_refused(tmp_path: Path) -> None:
    """The cross encoder of ``tightTransf`` scores texts and frames together and has none of the four similarities."""
    core = XCLIPCore(XCLIPConfig(**{**SIZES, "header": "meanP"}))  # type: ignore[arg-type]
    state = {"similarity_dense.weight": torch.zeros(1, 8), "cross.pooler.dense.bias": torch.zeros(8)}
    torch.save(state, tmp_path / "tight.pth")
    with pytest.raises(DataError, match="does not fit xclip"):
        load_checkpoint(tmp_path / "tight.pth", core, "xclip")
