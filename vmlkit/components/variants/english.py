"""Parts of speech of short captions without any download: TextBlob's lexicon, then rules for how captions are written.

The lexicon takes most third-person verbs for plural nouns ("a man wearing sunglasses drives ...").  A caption has one
main verb per clause, which agrees with the noun before it; the rules look for that word.
"""

import re
from collections.abc import Sequence
from functools import cache
from typing import Literal

from vmlkit.components.variants.wordlists import is_known, lemma, may_be, table, word_set
from vmlkit.errors import MissingDependency

#: noun, verb with auxiliaries and participles, adjective, adverb, anything else
WordClass = Literal["N", "V", "J", "R", "O"]

BE = word_set("is are was were am be been being 's 're")
HAVE = word_set("has have had having")
DO = word_set("does do did")
MODALS = word_set("can could will would may might must should shall")
DETERMINERS = word_set("a an the this that these those some any each every another no one both all")
POSSESSIVES = word_set("his her their its my our your")
NUMBERS = word_set("one two three four five six seven eight nine ten")
PRONOUNS = word_set("he she they it we i you him them us me who themselves himself herself itself each")
PREPOSITIONS = word_set(
    "in on at of to from with without by for into onto over under above below across through along against behind "
    "beside besides between among near towards toward during before after about around inside outside off out up "
    "down upon within past like as than while when because if until since and or but where which"
)
#: particles that stay with their verb; all but the last line are prepositions too
PARTICLES = word_set("up down off on out in over around away back together apart aside along through")
ADVERBS = word_set(
    "then now also not n't never again twice once just very too so still always often soon later finally together "
    "apart away back forward backward upstairs downstairs outdoors indoors alone there here upward downward upwards "
    "downwards sideways first next together somewhere"
)
QUANTIFIERS = word_set("several many few multiple various other same different")
#: may be a verb or adverb elsewhere, but a caption means the noun
_NOUNS = word_set("people police person left right something nothing anything everything clothes stairs")


def _plural(word: str, tag: str) -> bool:
    return (
        tag in ("NNS", "NNPS")
        or word.endswith("men")
        or word in ("people", "police", "they", "we", "children", "men", "women")
    )


def word_class(tag: str) -> WordClass:
    """The class of a Penn tag.

    >>> [word_class(t) for t in ("NNS", "VBG", "MD", "JJR", "RB", "WRB", "DT")]
    ['N', 'V', 'V', 'J', 'R', 'O', 'O']
    """
    if tag == "MD":
        return "V"
    classes: dict[str, WordClass] = {"NN": "N", "VB": "V", "JJ": "J", "RB": "R"}
    return classes.get(tag[:2], "O")


def tag_caption(tokens: Sequence[str]) -> list[str]:
    """A Penn tag for each token of one sentence.

    Raises:
        MissingDependency: without textblob or lemminflect.
    """
    words = [token.lower() for token in tokens]
    tags = _lexicon_tags(words)
    _closed_classes(words, tags)
    _attributes(words, tags)
    _verb_groups(words, tags)
    for start, end in _clauses(words, tags):
        _main_verb(words, tags, start, end)
    _participles(words, tags)
    _leftovers(words, tags)
    return tags


def _lexicon_tags(words: list[str]) -> list[str]:
    try:
        from textblob import en
    except ImportError as error:
        raise MissingDependency("textblob", "text", "tagging parts of speech") from error
    pairs = en.tag(" ".join(words), tokenize=False)
    if [word for word, _ in pairs] != words:
        return [next((str(tag) for _, tag in en.tag(word, tokenize=False)), "NN") for word in words]
    return [str(tag) for _, tag in pairs]


def _closed_classes(words: list[str], tags: list[str]) -> None:
    for i, word in enumerate(words):
        after = words[i + 1] if i + 1 < len(words) else "."
        if not re.search(r"\w", word):
            tags[i] = "."
        elif word == "'s" and i and tags[i - 1].startswith("NN") and not after.endswith("ing"):
            tags[i] = "POS"
        elif word in BE or word in DO or word in HAVE:
            tags[i] = {"s": "VBZ", "d": "VBD", "g": "VBG"}.get(word[-1], "VBP")
        elif word in MODALS:
            tags[i] = "MD"
        elif word in POSSESSIVES:
            tags[i] = "PRP$"
        elif word in PRONOUNS:
            tags[i] = "PRP"
        elif word in NUMBERS or word.isdecimal():
            tags[i] = "CD"
        elif word in DETERMINERS:
            tags[i] = "DT"
        elif word == "top" and i and tags[i - 1][:2] in ("JJ", "NN") and not may_be(after, "NOUN"):
            tags[i] = "NN"  # the garment
        elif word in QUANTIFIERS:
            tags[i] = "JJ"
        elif word == "to":
            tags[i] = "TO"
        elif word in PREPOSITIONS:
            tags[i] = "IN"
        elif word in ADVERBS or (word.endswith("ly") and may_be(word, "ADV")) or word in table().swaps["adverbs"]:
            tags[i] = "RB"
        elif word in ("left", "right"):
            tags[i] = "NN" if i and words[i - 1] in ("the", "their", "his", "her") else "RB"
            if after.isalpha() and may_be(after, "NOUN") and after not in PREPOSITIONS and tags[i] == "NN":
                tags[i] = "JJ"
        elif word in _NOUNS:
            tags[i] = "NNS" if word in ("people", "police", "clothes", "stairs") else "NN"
        elif word in _shapes() and i and tags[i - 1][:2] in ("DT", "JJ", "NN", "CD") and after not in DETERMINERS:
            tags[i] = "NN"
        elif tags[i] == "VB":
            tags[i] = "VBP"  # "VB" is kept for what an auxiliary or "to" announces


@cache
def _shapes() -> frozenset[str]:
    """Shapes whose names the lexicon takes for verbs or conjunctions: "the red cross", "a blue plus"."""
    return frozenset(word for group in table().kinds["shapes"] for word in group)


def _attributes(words: list[str], tags: list[str]) -> None:
    """Adjectives that the lexicon takes for nouns or verbs, where a noun or adjective follows."""
    for i in range(len(words) - 1, -1, -1):
        after = tags[i + 1] if i + 1 < len(words) else "."
        known = words[i] in table().swaps["attributes"] or (
            may_be(words[i], "ADJ") and not may_be(words[i], "NOUN") and not may_be(words[i], "VERB")
        )
        if (
            (
                known
                and tags[i][:2] in ("NN", "VB", "RB", "IN")
                and words[i] not in ADVERBS
                and words[i] not in PREPOSITIONS
            )
            and after[:2] in ("NN", "JJ")
            and words[i] not in ("open", "left", "right", "clean", "dry", "empty")
        ):
            tags[i] = "JJ"
        if tags[i] == "RB" and words[i] == "fast" and after.startswith("NN"):
            tags[i] = "JJ"
        if words[i] in ("open", "close") and i and tags[i - 1][:2] in ("NN", "RB") and after in ("DT", "PRP$"):
            tags[i] = "VBP"
        if words[i] == "close" and words[i + 1 : i + 2] == ["up"] and i and tags[i - 1] == "DT":
            tags[i] = "JJ"


def _verb_groups(words: list[str], tags: list[str]) -> None:
    """Verbs that an auxiliary or "to" announces."""
    for i, word in enumerate(words):
        if tags[i] == "TO" and i + 1 < len(words):
            j = _skip_adverbs(tags, i + 1)
            if j < len(words) and _could_be_base(words[j]) and not _noun_after_to(words[j], tags[j]):
                tags[j] = "VB"
        elif (word in BE and tags[i] != "POS") or word in HAVE:
            j = _skip_adverbs(tags, i + 1)
            if j < len(words) and _participle(words[j]) and tags[j] not in ("DT", "IN", "PRP", "PRP$", "CD"):
                if words[j].endswith("ing"):
                    tags[j] = "VBG"
                elif not (tags[j].startswith("JJ") and not may_be(words[j], "VERB")):
                    tags[j] = "VBN"
        elif tags[i] == "MD" or word in DO:
            j = _skip_adverbs(tags, i + 1)
            if j < len(words) and _could_be_base(words[j]) and tags[j] not in ("DT", "IN", "PRP", "PRP$", "CD"):
                tags[j] = "VB"


def _skip_adverbs(tags: list[str], i: int) -> int:
    while i < len(tags) and tags[i] == "RB":
        i += 1
    return i


def _could_be_base(word: str) -> bool:
    return may_be(word, "VERB") and lemma(word, "VERB") == word and word not in PREPOSITIONS


def _noun_after_to(word: str, tag: str) -> bool:
    """Whether "to" is a preposition here, because no verb follows it."""
    return tag in ("DT", "PRP$", "JJ", "CD", "NNS") and word not in ("open", "close")


def _participle(word: str) -> bool:
    if word.endswith("ing") and len(word) > 4:
        return lemma(word, "VERB") != word
    if not may_be(word, "VERB"):
        return word.endswith("ed") and not is_known(word)
    return word.endswith(("ed", "en", "n", "t", "d")) and (lemma(word, "VERB") != word or word in ("put", "cut", "set"))


def _clauses(words: list[str], tags: list[str]) -> list[tuple[int, int]]:
    """Where each clause with its own finite verb may begin and end; a clause begins with its subject."""
    bounds = [0]
    for i, word in enumerate(words):
        opens = word in ("while", "as", "when", "who", "that", "where", "because", "which", "before", "after", "until")
        if i and (word in (",", ";", "and", "or", "but", ".") or opens):
            bounds.append(i)
    return list(zip(bounds, [*bounds[1:], len(words)], strict=True))


def _main_verb(words: list[str], tags: list[str], start: int, end: int) -> None:
    """Choose the word that is the finite verb of a clause, and turn the other finite readings back into nouns."""
    fixed = [i for i in range(start, end) if words[i] in BE | DO | MODALS | HAVE and tags[i] != "POS"]
    scores = {i: _verb_score(words, tags, start, i) for i in range(start, end) if i not in fixed}
    scores = {i: score for i, score in scores.items() if score > 2}
    best = None
    if fixed:
        # an auxiliary before any other candidate is the finite verb
        earlier = {i: s for i, s in scores.items() if i < fixed[0] and s >= 5}
        best = min(earlier, default=None)
    elif scores:
        best = max(scores, key=lambda i: (scores[i], -i))
    for i in range(start, end):
        if i == best:
            tags[i] = (
                "VBZ" if words[i].endswith("s") and lemma(words[i], "VERB") != words[i] else _finite(words[i], tags[i])
            )
        elif tags[i] in ("VBZ", "VBP", "VBD") and i not in fixed:
            tags[i] = _not_finite(words[i], tags, i)


def _finite(word: str, tag: str) -> str:
    if lemma(word, "VERB") == word:
        return "VBP"
    return tag if tag in ("VBP", "VBD") else "VBD"


def _not_finite(word: str, tags: list[str], i: int) -> str:
    if word.endswith("s") and may_be(word, "NOUN"):
        return "NNS"
    if _participle(word) and tags[i] in ("VBD",):
        return "VBN"
    return "NN" if may_be(word, "NOUN") else tags[i]


def _verb_score(words: list[str], tags: list[str], start: int, i: int) -> int:
    """How well a word fits as the finite verb of its clause; not at all if 0 or less."""
    word, tag = words[i], tags[i]
    if tag in ("DT", "IN", "TO", "PRP", "PRP$", "CD", ".", "POS", "VB", "VBG", "MD", "RB", "CC") or not word.isalpha():
        return 0
    if word in _NOUNS or words[i + 1 : i + 2] == ["of"]:
        return 0
    s_form = word.endswith("s") and not word.endswith("ss") and lemma(word, "VERB") != word
    base = _could_be_base(word)
    past = not s_form and not base and may_be(word, "VERB") and tag in ("VBD", "VBN")
    if not (s_form or base or past):
        return 0
    j = i - 1
    while j >= start and tags[j] == "RB":
        j -= 1
    before = tags[j] if j >= start else "START"
    if before in ("DT", "PRP$", "POS", "CD", "IN", "TO") and not (
        before == "IN" and words[j] in ("who", "and", "or", "but", "which")
    ):
        return 0
    if before in ("VBN", "JJ") and j > start and tags[j - 1] in ("DT", "PRP$"):
        return 0  # "his parked truck"
    score = 2 if tag.startswith("VB") else 0
    score += 1 if may_be(word, "VERB") else -1
    score += 0 if may_be(word, "NOUN") else 2
    score += _agreement(words, tags, start, j, before, s_form, base)
    after = tags[i + 1] if i + 1 < len(words) else "."
    if after in ("DT", "IN", "TO", "PRP", "PRP$", ".", "RB", "VBG", "CD", "CC"):
        score += 2
    if after in ("VBZ", "VBP", "MD") and i + 1 < len(words):
        score -= 3
    if tag.startswith("JJ"):
        score -= 2
    return score


def _agreement(words: list[str], tags: list[str], start: int, j: int, before: str, s_form: bool, base: bool) -> int:
    """Whether the word before fits as the subject of this form."""
    if before == "START" or (before in ("CC", "IN", ".") and j == start):
        if words[max(j, 0)] not in ("and", "or", ",", "then", "who", "which", "that", "but"):
            return -2
        thing = lemma(words[j + 1], "NOUN") in table().things
        return (-1 if thing else 2) if s_form else 1
    if before.startswith("JJ"):
        return -3
    if before == "PRP":
        plural = words[j] in ("they", "we", "i", "you", "who")
    elif before.startswith("NN"):
        plural = _plural(words[j], before) or _coordinated(words, tags, start, j)
    elif before in ("VBN", "VBG"):
        return -2 if base else 0
    else:
        return -2
    if s_form:
        return -1 if plural else 3
    if base and words[j] == "person":
        return 1  # a frequent slip: "person open the door"
    return (3 if plural else -3) if base else 1


def _coordinated(words: list[str], tags: list[str], start: int, j: int) -> bool:
    return any(words[k] == "and" for k in range(max(start - 1, 0), j)) or (
        start > 0
        and words[start] == "and"
        and all(tags[k][:2] in ("NN", "DT", "JJ", "IN", "PR") for k in range(start, j))
    )


def _participles(words: list[str], tags: list[str]) -> None:
    """-ing and -ed words: attributes before a noun, else verbs."""
    for i, word in enumerate(words):
        before = tags[i - 1] if i else "START"
        after = tags[i + 1] if i + 1 < len(words) else "."
        if word in _NOUNS:
            continue
        if tags[i] in ("VBN", "VBD", "NN", "JJ", "VBG") and word.endswith(("ed", "ing", "en")) and _participle(word):
            inside = before in ("DT", "PRP$", "JJ", "CD", "IN", "START", "POS") and after[:2] in ("NN", "JJ")
            if inside and not (word.endswith("ing") and before in ("IN", "START")) and not _listed_noun(word):
                tags[i] = "JJ"
            elif word.endswith("ing") and before not in ("DT", "PRP$", "JJ") and not _listed_noun(word):
                tags[i] = "VBG"
            elif word.endswith("ing") and before in ("DT", "PRP$", "JJ") and after[:2] not in ("NN", "JJ"):
                tags[i] = "NN" if may_be(word, "NOUN") else tags[i]


def _listed_noun(word: str) -> bool:
    return word in table().things


def _noun(word: str) -> str:
    return "NNS" if word.endswith("s") and lemma(word, "NOUN") != word else "NN"


def _leftovers(words: list[str], tags: list[str]) -> None:
    """A noun phrase needs a noun; a finite form after a determiner is a noun."""
    for i, word in enumerate(words):
        before = tags[i - 1] if i else "START"
        after = tags[i + 1] if i + 1 < len(words) else "."
        ends = after in (".", "IN", "TO", "VBZ", "VBP", "VBD", "RB", "MD", "POS", "VBG", "CC", "VBN")
        if (
            tags[i] in ("VB", "VBP", "VBZ", "VBD", "VBN")
            and before in ("DT", "PRP$", "JJ", "POS")
            and may_be(word, "NOUN")
        ):
            tags[i] = _noun(word)
        open_phrase = tags[i].startswith("JJ") and before in ("DT", "PRP$", "JJ", "CD", "IN", "VBG") and ends
        quantity = word in QUANTIFIERS or word == "bigger" or words[i + 1 : i + 2] == ["up"]
        if open_phrase and (may_be(word, "NOUN") or _listed_noun(word)) and not quantity:
            tags[i] = _noun(word)
