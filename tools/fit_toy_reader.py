"""Fit the reader of the toy world's words on films that it draws itself, and write its weights into the package.

    python tools/fit_toy_reader.py            # about eight minutes on one core

Films come from a stream of random numbers of their own; no split of a data set and no film of ``vmlkit toy-video``
draws from it.  The last films are left out of the fit and say how many frames are named rightly.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from torch.nn.functional import cross_entropy

from vmlkit.data.toyworld.features import frame_features
from vmlkit.data.toyworld.render import render
from vmlkit.data.toyworld.script import ToyVideo, write_script
from vmlkit.data.toyworld.world import ACTION_IDS, COLORS, SHAPES, Actor
from vmlkit.files import write_bytes
from vmlkit.video.toy_reader import STATES, ToyReader, colour_columns

#: of the random numbers of a drawn film; the splits have 0 to 2, the films of ``make_film`` have 3
STREAM = 4
TARGET = Path(__file__).resolve().parents[1] / "vmlkit" / "video" / "toy_reader.safetensors"
FRAMES, BATCH, SKIPPED = 48, 64, -1

Film = tuple[np.ndarray, np.ndarray, np.ndarray]  #: columns (C, T, columns), states and shapes (C, T)


def drawn_film(index: int) -> Film:
    """One film with its labels; its frames lie up to a fifth of a second beside the usual times."""
    rng = np.random.default_rng([STREAM, index])
    seconds, staging = float(rng.uniform(24, 60)), "default" if rng.random() < 0.7 else "cast"
    shift = float(rng.uniform(-0.2, 0.2))
    count = max(2, round(seconds / 9))
    video = write_script(rng, "film", index, seconds, count, f"drawn-{index}", staging)
    times = np.clip(video.frame_times() + shift, 0, seconds)
    states, forms = labels(video, times)
    return colour_columns(frame_features(render(video, times, 32))), states, forms


def labels(video: ToyVideo, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """State and shape of each colour at each time; what is drawn last counts."""
    states, forms = (np.zeros((len(COLORS), len(times)), dtype=np.int64) for _ in range(2))

    def put(actor: Actor, start: float, end: float, state: int) -> None:
        row, there = list(COLORS).index(actor.color), (times >= start) & (times < end)
        states[row, there], forms[row, there] = state, SHAPES.index(actor.shape) + 1

    idle = STATES.index("idle")
    for distractor in video.distractors:
        put(distractor.actor, distractor.on_s, distractor.off_s, idle)
    for event in video.events:
        for actor in event.actors:
            put(actor, event.on_s, event.off_s, idle)
    for event in video.events:
        put(event.actor, event.start_s, event.end_s, idle + 1 + ACTION_IDS[event.action])
        if event.other is not None:
            put(event.other, event.start_s, event.end_s, STATES.index(f"{event.action} (object)"))
    for card in video.cards:
        hidden = (times >= card.start_s) & (times < card.end_s)
        states[:, hidden] = forms[:, hidden] = 0
    return states, forms


def batch_of(films: list[Film], rows: list[tuple[int, int]], rng: np.random.Generator) -> list[torch.Tensor]:
    """Pieces of ``FRAMES`` frames of some colours of some films."""
    parts = []
    for film, color in rows:
        columns, states, forms = (part[color] for part in films[film])
        first = int(rng.integers(0, max(1, len(columns) - FRAMES + 1)))
        cut = slice(first, first + FRAMES)
        room = FRAMES - len(columns[cut])
        words = [np.pad(part[cut], (0, room), constant_values=SKIPPED) for part in (states, forms)]
        parts.append((np.pad(columns[cut], ((0, room), (0, 0))), *words))
    return [torch.from_numpy(np.stack(values)) for values in zip(*parts, strict=True)]


def fit(films: list[Film], epochs: int, seed: int) -> ToyReader:
    """The reader, fitted with AdamW and a rate that rises and falls once."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    reader = ToyReader()
    everything = np.concatenate([columns.reshape(-1, columns.shape[-1]) for columns, _, _ in films])
    reader.mean.copy_(torch.from_numpy(everything.mean(axis=0)))
    reader.deviation.copy_(torch.from_numpy(everything.std(axis=0) + 0.05))
    seen = [
        [(i, c) for i, f in enumerate(films) for c in range(len(COLORS)) if f[1][c].any() == some] for some in (1, 0)
    ]
    steps = epochs * len(films) * 3 // BATCH
    optimizer = torch.optim.AdamW(reader.parameters(), weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=steps)
    started = time.perf_counter()
    for step in range(steps):
        rows = [seen[int(rng.random() > 0.93)] for _ in range(BATCH)]
        columns, states, forms = batch_of(films, [part[rng.integers(len(part))] for part in rows], rng)
        said, shaped = reader(columns + 0.05 * reader.deviation * torch.randn_like(columns))
        loss = cross_entropy(said, states, ignore_index=SKIPPED) + 0.7 * cross_entropy(
            shaped, forms, ignore_index=SKIPPED
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % 100 == 0:
            print(f"step {step} of {steps}, loss {float(loss):.3f}, {time.perf_counter() - started:.0f} s", flush=True)
    return reader.eval()


def named_rightly(reader: ToyReader, films: list[Film]) -> float:
    """Share of the frames with an action of which the reader's likeliest state is the drawn one."""
    right, count = 0, 0
    with torch.no_grad():
        for columns, states, _ in films:
            said = reader(torch.from_numpy(columns))[0].argmax(1).numpy()
            acting = states > STATES.index("idle")
            right, count = right + int((said == states)[acting].sum()), count + int(acting.sum())
    return right / count


def main() -> None:
    """Draw, fit, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--films", type=int, default=1000)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=TARGET)
    options = parser.parse_args()
    torch.set_num_threads(1)
    films = [drawn_film(index) for index in range(options.films)]
    held = max(1, options.films // 20)
    reader = fit(films[:-held], options.epochs, options.seed)
    print(f"frames of an action named rightly in {held} films left out: {named_rightly(reader, films[-held:]):.1%}")
    state = {name: value.half().contiguous() for name, value in reader.state_dict().items()}
    write_bytes(options.out, safetensors.torch.save(state))
    print(f"{options.out}: {options.out.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
