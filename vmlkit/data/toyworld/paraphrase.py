"""Sentence components of the toy world by construction: a paraphrase, and exact false variants of each part.

The generators of :mod:`vmlkit.text` work on any sentence and may be wrong; these know the script of the video, so each
negative is false in its video and each positive is true.
"""

import dataclasses
import zlib
from collections.abc import Sequence

from vmlkit.data.components import ComponentTexts
from vmlkit.data.toyworld.config import Split, ToyConfig
from vmlkit.data.toyworld.dataset import toy_videos
from vmlkit.data.toyworld.grammar import NounPhrase, ToySentence
from vmlkit.data.toyworld.lexicon import LEXICON, VERB_PHRASES, synonyms
from vmlkit.data.toyworld.variants import Component, variants

#: components by the names that generated variants use
EXACT: dict[str, Component] = {
    "changed_verb": "verb",
    "changed_attribute": "attribute",
    "changed_object": "object",
    "changed_subject": "subject",
}


def paraphrase(sentence: ToySentence) -> str:
    """The same said differently: another verb phrase, other words for the same things, the other article.

    Which ones is fixed by the query's id.
    """
    wording, draw = sentence.wording, zlib.crc32(sentence.query_id.encode())
    count = len(VERB_PHRASES[wording.action])
    changed = dataclasses.replace(
        wording,
        phrasing=(wording.phrasing + 1 + draw % (count - 1)) % count,
        subject=_reworded(wording.subject, draw),
        object=_reworded(wording.object, draw // 7) if wording.object is not None else None,
    )
    return " ".join(changed.tokens)


def _reworded(phrase: NounPhrase, draw: int) -> NounPhrase:
    def other(word: str | None) -> str | None:
        if word is None:
            return None
        choices = [w for w in synonyms(LEXICON[word].concept) if w != word]
        return choices[draw % len(choices)] if choices else word

    return NounPhrase(
        det="the" if phrase.det == "a" else "a",
        size=other(phrase.size),
        color=other(phrase.color),
        shape=other(phrase.shape) or phrase.shape,
    )


def exact_components(config: ToyConfig, split: Split, components: Sequence[str] = tuple(EXACT)) -> ComponentTexts:
    """A paraphrase and one false variant per component of every sentence of a split, in its order.

    Which of the possible variants is taken is fixed by the query's id; a sentence without such a part has None.
    """
    positives: list[str | None] = []
    negatives: list[tuple[str | None, ...]] = []
    for video in toy_videos(config, split):
        for sentence in video.sentences:
            positives.append(paraphrase(sentence))
            row: list[str | None] = []
            for component in components:
                found = variants(video, sentence, EXACT[component])
                draw = zlib.crc32(f"{sentence.query_id} {component}".encode())
                row.append(found[draw % len(found)].text if found else None)
            negatives.append(tuple(row))
    return ComponentTexts(components=tuple(components), positives=tuple(positives), negatives=tuple(negatives))
