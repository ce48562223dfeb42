"""Sentence components of the toy world by construction: a paraphrase, and exact false variants of each part.

The generators of :mod:`vmlkit.components.variants` work on any sentence and may be wrong; these know the script of the
video, so each negative is false in its video and each positive is true.  Negations need no script: what negates a true
sentence is false.
"""

import dataclasses
import zlib
from collections.abc import Sequence
from typing import Any

from vmlkit.components.dataset import ComponentTexts
from vmlkit.components.variants.generation import variants_of
from vmlkit.components.variants.rows import by_sentence
from vmlkit.components.variants.rules import RuleGenerator
from vmlkit.data.toyworld.config import Split, ToyConfig
from vmlkit.data.toyworld.dataset import toy_videos
from vmlkit.data.toyworld.grammar import NounPhrase, ToySentence
from vmlkit.data.toyworld.lexicon import LEXICON, VERB_PHRASES, synonyms
from vmlkit.data.toyworld.script import ToyVideo
from vmlkit.data.toyworld.variants import Component, variants
from vmlkit.errors import DataError

#: P4's five negatives for moments, and the changed verb that it uses for retrieval
TOY_COMPONENTS = (
    "negated_verb",
    "changed_attribute",
    "changed_object",
    "negated_passive",
    "changed_subject",
    "changed_verb",
)
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


def toy_components(
    config: ToyConfig, split: Split, query_ids: Sequence[str], components: Sequence[str] = TOY_COMPONENTS
) -> ComponentTexts:
    """A paraphrase and one false variant per component of some sentences of a split, in the order of ``query_ids``.

    Components of :data:`EXACT` come from the script (which of the possible ones is fixed by the query's id), negations
    from the rule generator.  A sentence without such a part has None.

    Raises:
        DataError: for a query of another split.
        MissingDependency: for a generated component, without what the rule generator needs.
    """
    found = {s.query_id: (video, s) for video in toy_videos(config, split) for s in video.sentences}
    missing = next((q for q in query_ids if q not in found), None)
    if missing is not None:
        raise DataError(missing, f"is not a query of the split '{split}'", "pass the world that the queries are from")
    generated: list[Any] = [c for c in components if c not in EXACT]
    sentences = dict.fromkeys(found[q][1].text for q in query_ids) if generated else ()
    generator = RuleGenerator()
    written = by_sentence(row for text in sentences for row in variants_of(generator, text, generated))

    def negative(query: str, name: str) -> str | None:
        video, sentence = found[query]
        return _one_of(video, sentence, name) if name in EXACT else written[sentence.text, name]

    return ComponentTexts(
        components=tuple(components),
        positives=tuple(paraphrase(found[q][1]) for q in query_ids),
        negatives=tuple(tuple(negative(q, name) for name in components) for q in query_ids),
    )


def _one_of(video: ToyVideo, sentence: ToySentence, component: str) -> str | None:
    found = variants(video, sentence, EXACT[component])
    draw = zlib.crc32(f"{sentence.query_id} {component}".encode())
    return found[draw % len(found)].text if found else None
