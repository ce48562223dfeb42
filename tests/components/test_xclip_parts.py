"""X-CLIP's scores against loops over words and frames, its temporal encoders, and what masking changes."""

import math

import jaxtyping
import pytest
import torch
from torch import Tensor

from vmlkit.components.temporal import TemporalEncoder, pooled
from vmlkit.components.xclip_heads import SimilarityHeads, TextStates, VideoStates, symmetric_loss
from vmlkit.errors import ConfigError
from vmlkit.nn.similarity import unit

N, V, W, T, D, SHARP = 3, 2, 4, 5, 6, 0.1


def states(seed: int = 0) -> tuple[TextStates, VideoStates]:
    draw = torch.Generator().manual_seed(seed)
    word_mask = torch.arange(W) < torch.tensor([[4], [2], [3]])
    frame_mask = torch.arange(T) < torch.tensor([[5], [2]])
    text = TextStates(torch.randn(N, D, generator=draw), torch.randn(N, W, D, generator=draw), word_mask)
    frames = torch.randn(V, T, D, generator=draw)
    return text, VideoStates(pooled(frames, frame_mask), frames, frame_mask)


def heads(noise: float = 0.1, mask_padding: bool = False) -> SimilarityHeads:
    torch.manual_seed(4)
    net = SimilarityHeads(D, W, T, temperature=SHARP, mask_padding=mask_padding)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(noise * torch.randn_like(parameter))
    return net


def mixed(x: Tensor, matrix: Tensor) -> Tensor:
    return (x * ((x / SHARP).softmax(0) @ matrix)).sum()


def by_loop(net: SimilarityHeads, text: TextStates, video: VideoStates, i: int, j: int, words: int, frames: int):
    """The four scores of one pair, from the formulas, over the first words and frames."""
    s, w, f, v = unit(text.sentence[i]), unit(text.words[i, :words]), unit(video.frames[j, :frames]), video.video[j]
    cut_w, cut_f = (slice(words), slice(words)), (slice(frames), slice(frames))
    pairs = w @ net.local @ f.T
    p = torch.stack([mixed(pairs[:, t], net.words_first[cut_w]) for t in range(frames)])
    q = torch.stack([mixed(pairs[k], net.frames_first[cut_f]) for k in range(words)])
    return (
        s @ net.video_sentence @ v,
        mixed(w @ v, net.video_words[cut_w]),
        mixed(f @ s, net.sentence_frames[cut_f]),
        (mixed(p, net.frames_second[cut_f]) + mixed(q, net.words_second[cut_w])) / 2,
    )


@pytest.mark.parametrize("mask_padding", [False, True])
def test_scores_follow_the_loop(mask_padding: bool) -> None:
    (text, video), net, scale = states(), heads(mask_padding=mask_padding), torch.tensor(7.0)
    said = net(text, video, scale)
    for i in range(N):
        for j in range(V):
            words = int(text.mask[i].sum()) if mask_padding else W
            frames = int(video.mask[j].sum()) if mask_padding else T
            expected = by_loop(net, text, video, i, j, words, frames)
            names = ("video_sentence", "video_words", "sentence_frames", "frame_words")
            for name, value in zip(names, expected, strict=True):
                torch.testing.assert_close(getattr(said, name)[i, j], scale * value, rtol=1e-4, atol=1e-5)
            torch.testing.assert_close(said.logits[i, j], scale * sum(expected) / 4, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("mask_padding", [False, True])
def test_padding_takes_part_unless_it_is_masked(mask_padding: bool) -> None:
    (text, video), net, one = states(), heads(mask_padding=mask_padding), torch.tensor(1.0)
    words, frames = text.words.clone(), video.frames.clone()
    words[~text.mask], frames[~video.mask] = 3.0, -3.0
    spoilt = net(TextStates(text.sentence, words, text.mask), VideoStates(video.video, frames, video.mask), one).logits
    assert torch.allclose(spoilt, net(text, video, one).logits) == mask_padding


def test_matrices_start_as_identities() -> None:
    net = SimilarityHeads(D, W, T)
    assert len(list(net.parameters())) == 8
    assert all(torch.equal(p, torch.eye(len(p))) for p in net.parameters())


def test_symmetric_loss_by_hand() -> None:
    logits = torch.tensor([[2.0, 0.0], [0.0, 0.0]])
    rows = (math.log(1 + math.exp(-2)) + math.log(2)) / 2
    assert float(symmetric_loss(logits)) == pytest.approx(rows)  # the matrix is symmetric, so both directions agree
    assert float(symmetric_loss(torch.tensor([[5.0]]))) == 0


@pytest.mark.parametrize("header", ["seqTransf", "seqLSTM", "meanP"])
def test_padded_frames_never_reach_the_video(header: str) -> None:
    torch.manual_seed(0)
    encoder = TemporalEncoder(D, header, layers=2, heads=2, positions=9)  # type: ignore[arg-type]
    frames, mask = torch.randn(3, T, D), torch.arange(T) < torch.tensor([[5], [3], [1]])
    video = pooled(encoder(frames, mask), mask)
    spoilt = torch.where(mask[..., None], frames, 50.0)
    torch.testing.assert_close(pooled(encoder(spoilt, mask), mask), video)
    torch.testing.assert_close(video.norm(dim=1), torch.ones(3))


def test_lstm_equals_one_on_packed_lengths() -> None:
    torch.manual_seed(0)
    encoder = TemporalEncoder(D, "seqLSTM", layers=0, heads=1, positions=0)
    frames, lengths = torch.randn(2, T, D), torch.tensor([5, 2])
    packed = torch.nn.utils.rnn.pack_padded_sequence(frames, lengths, batch_first=True, enforce_sorted=False)
    expected, _ = torch.nn.utils.rnn.pad_packed_sequence(encoder.lstm(packed)[0], batch_first=True)
    mask = torch.arange(T) < lengths[:, None]
    ours = encoder(frames, mask)
    torch.testing.assert_close(ours[mask], (expected + frames)[mask])


def test_order_of_frames_matters_to_encoders_with_positions_only() -> None:
    torch.manual_seed(0)
    frames, mask = torch.randn(1, T, D), torch.ones(1, T, dtype=torch.bool)
    changes = {}
    for header in ("seqTransf", "seqLSTM", "meanP"):
        encoder = TemporalEncoder(D, header, layers=1, heads=2, positions=9)  # type: ignore[arg-type]
        one, other = (pooled(encoder(x, mask), mask) for x in (frames, frames.flip(1)))
        changes[header] = float((one - other).detach().abs().max())
    assert changes["meanP"] < 1e-6 < 1e-4 < min(changes["seqTransf"], changes["seqLSTM"])


def test_each_frame_is_normalised_before_pooling() -> None:
    frames, mask = torch.randn(1, T, D), torch.ones(1, T, dtype=torch.bool)
    louder = frames.clone()
    louder[:, 0] *= 100
    torch.testing.assert_close(pooled(louder, mask), pooled(frames, mask))


def test_unknown_header(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    with pytest.raises(ConfigError, match="header"):
        TemporalEncoder(D, "conv", 1, 1, 1)  # type: ignore[arg-type]
