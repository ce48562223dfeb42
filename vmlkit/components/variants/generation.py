"""From sentences to rows: ask a generator, check every answer, ask again, write down what was refused and why."""

import datetime
import functools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import Protocol, runtime_checkable

from vmlkit.components.variants.checks import Answers, check_of, failures
from vmlkit.components.variants.rows import COMPONENTS, Component, Rejection, SentenceVariant, VariantWriter

#: how often a refused answer is asked for again
RETRIES = 2


@runtime_checkable
class VariantGenerator(Protocol):
    """Writes the variants of a sentence.

    ``name`` is ``rules``, ``openai``, ``local`` or ``completion``; ``model`` says which model or version;
    ``prompt_version`` is ``None`` without prompts; ``deterministic`` means that asking again gives the same answer, so
    nobody asks again.
    """

    @property
    def name(self) -> str: ...
    @property
    def model(self) -> str: ...
    @property
    def prompt_version(self) -> str | None: ...
    @property
    def deterministic(self) -> bool: ...

    def answer(
        self,
        sentence: str,
        refused: Mapping[Component, Sequence[Rejection]],
        wanted: Sequence[Component] = COMPONENTS,
    ) -> Answers:
        """One text or ``None`` for each of the components wanted, or for all seven.

        Args:
            sentence: the anchor.
            refused: what was wrong with the answers before; empty when asked for the first time.
            wanted: those that are still open; a generator that asks for all at once may pass over it.

        Raises:
            BrokenAnswer: if nothing usable came back, for example broken JSON.
        """
        ...


class BrokenAnswer(ValueError):
    """What came back is not an answer in the form asked for."""


@dataclass
class Summary:
    """Counts per component: texts accepted, parts that the sentence does not have, texts refused for good.

    ``checks`` counts answers, those included after which another one was accepted, by the check that refused them.
    """

    accepted: dict[Component, int] = field(default_factory=lambda: dict.fromkeys(COMPONENTS, 0))
    absent: dict[Component, int] = field(default_factory=lambda: dict.fromkeys(COMPONENTS, 0))
    refused: dict[Component, int] = field(default_factory=lambda: dict.fromkeys(COMPONENTS, 0))
    checks: dict[Component, Counter[str]] = field(default_factory=lambda: {name: Counter() for name in COMPONENTS})

    def add(self, rows: Iterable[SentenceVariant]) -> None:
        """Count rows."""
        for row in rows:
            kind = self.accepted if row.valid else self.refused if row.rejected else self.absent
            kind[row.component] += 1
            self.checks[row.component].update(check_of(rejection) for rejection in row.rejected)


def variants_of(
    generator: VariantGenerator,
    sentence: str,
    components: Sequence[Component] = COMPONENTS,
    *,
    retries: int = RETRIES,
    date: str | None = None,
) -> list[SentenceVariant]:
    """The rows of one sentence: refused answers are asked for again at most ``retries`` times, then null.

    An answer that was accepted stays as it is while others are asked for again.
    """
    accepted: Answers = {}
    history: dict[Component, list[Rejection]] = {component: [] for component in components}
    attempts = dict.fromkeys(components, 0)
    for _ in range(1 if generator.deterministic else retries + 1):
        open_parts = [component for component in components if component not in accepted]
        attempts |= {component: attempts[component] + 1 for component in open_parts}
        texts, wrong = _asked(generator, sentence, open_parts, history, accepted)
        for component, reason in wrong.items():
            history[component].append(Rejection(texts[component], reason))
        accepted |= {c: text for c, text in texts.items() if c not in wrong}
        if not wrong:
            break
    today = date or datetime.date.today().isoformat()
    return [
        SentenceVariant(
            sentence=sentence,
            component=component,
            text=accepted.get(component),
            generator=generator.name,
            model=generator.model,
            prompt_version=generator.prompt_version,
            attempts=attempts[component],
            rejected=tuple(history[component]),
            date=today,
        )
        for component in components
    ]


def _asked(
    generator: VariantGenerator,
    sentence: str,
    open_parts: Sequence[Component],
    history: Mapping[Component, Sequence[Rejection]],
    accepted: Answers,
) -> tuple[Answers, dict[Component, str]]:
    """The answers for the components that are open, and what is wrong with some."""
    try:
        answers = generator.answer(sentence, {c: tuple(history[c]) for c in open_parts if history[c]}, open_parts)
    except BrokenAnswer as error:
        return dict.fromkeys(open_parts), dict.fromkeys(open_parts, str(error))
    texts: Answers = {component: answers.get(component) for component in open_parts}
    wrong = failures(sentence, {**accepted, **texts})
    return texts, {component: reason for component, reason in wrong.items() if component in texts}


def generate(
    generator: VariantGenerator,
    sentences: Iterable[str],
    writer: VariantWriter,
    components: Sequence[Component] = COMPONENTS,
    *,
    workers: int = 1,
    retries: int = RETRIES,
) -> Iterator[list[SentenceVariant]]:
    """Generate what the file lacks, sentence by sentence, in order; yields the rows just written.

    Args:
        retries: how often a refused answer is asked for again.
        workers: sentences that are asked for at the same time.
    """
    missing = [
        (sentence, lacking)
        for sentence in dict.fromkeys(sentences)
        if (lacking := [c for c in components if not writer.has(sentence, c)])
    ]
    ask = functools.partial(variants_of, generator, retries=retries)
    for rows in _in_order(ask, missing, workers):
        writer.append(rows)
        yield rows


def _in_order(
    ask: Callable[[str, list[Component]], list[SentenceVariant]],
    missing: Sequence[tuple[str, list[Component]]],
    workers: int,
) -> Iterator[list[SentenceVariant]]:
    if workers <= 1:
        yield from (ask(sentence, parts) for sentence, parts in missing)
        return
    pool = ThreadPoolExecutor(workers)
    try:
        todo = iter(missing)
        # a short window: what was asked for but not written yet is all that a kill can lose
        running: list[Future[list[SentenceVariant]]] = [pool.submit(ask, *item) for item in islice(todo, workers)]
        while running:
            rows = running.pop(0).result()
            running += [pool.submit(ask, *item) for item in islice(todo, 1)]
            yield rows
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
