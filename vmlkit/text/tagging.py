"""Words, part-of-speech tags and the weights with which words are chosen for masking.

CNM, CPL and PPS tokenise with NLTK's word tokenizer, tag the original-case tokens with its averaged-perceptron
tagger and lower-case them afterwards.  Tags made that way can be read from a file, so that nothing has to be
downloaded.  Tagging happens once, when a data set is built.
"""

import re
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from tqdm import tqdm

from vmlkit.errors import DataError, required
from vmlkit.files import parse_json, read_text
from vmlkit.files.records import COUNT, TEXT, Entry, Many, checked

#: a tag that contains one of these belongs to a content word
CONTENT_TAGS = ("NN", "VB", "JJ", "RB")

PUNKT = "tokenizers/punkt_tab/english"
PERCEPTRON = "taggers/averaged_perceptron_tagger_eng"

Tagger = Callable[[Sequence[str]], Sequence[str]]


_TAGGED = Entry({"split": TEXT, "row": COUNT, "tokens": Many(TEXT), "tags": Many(TEXT)})


@dataclass(frozen=True, slots=True)
class TaggedSentence:
    """Lower-cased tokens and one Penn Treebank tag each."""

    tokens: tuple[str, ...]
    tags: tuple[str, ...]


def read_tagged(path: str | Path) -> dict[tuple[str, int], TaggedSentence]:
    """Read JSON lines ``{"split", "row", "tokens", "tags"}`` (plain or gzipped), keyed by split and row.

    Raises:
        DataError: for an unreadable file or a line without these fields.
    """
    table = {}
    for number, line in enumerate(filter(str.strip, read_text(path).split("\n")), start=1):
        entry = parse_json(line, path, what=f"line {number} is")
        checked(entry, _TAGGED, path, f"line {number}")
        tokens, tags, key = entry["tokens"], entry["tags"], (entry["split"], entry["row"])
        if len(tokens) != len(tags):
            raise DataError(path, f"line {number} does not have one tag per token", "write two lists of equal length")
        table[key] = TaggedSentence(tuple(tokens), tuple(tags))
    return table


def matches_sentence(tagged: TaggedSentence, sentence: str) -> bool:
    """Whether the tokens are those of ``sentence``, blanks, case and quotation marks aside.

    >>> matches_sentence(TaggedSentence(("it", "'s"), ("PRP", "VBZ")), "It's")
    True
    """
    return _letters("".join(tagged.tokens)) == _letters(sentence)


def _letters(text: str) -> str:
    return re.sub(r"[\s\"'`“”]", "", text.lower())


def tag_sentences(sentences: Iterable[str], *, progress: bool = False) -> list[TaggedSentence]:
    """Tokenise, tag and lower-case sentences.

    The tagger is NLTK's averaged perceptron where its data is installed, as in the references; otherwise TextBlob's
    offline lexicon, with one warning.  On the Charades-STA sentences both give 99.3 % of the words the same weight.

    Raises:
        MissingDependency: if neither is installed.
    """
    tokenize = _tokenizer()
    tagger = _tagger()
    result = []
    for sentence in tqdm(list(sentences), desc="tagging sentences", disable=not progress, unit="sentence"):
        tokens = tokenize(sentence)
        result.append(TaggedSentence(tuple(t.lower() for t in tokens), tuple(tagger(tokens))))
    return result


def tagger_name() -> str:
    """Which tokenizer and tagger :func:`tag_sentences` would use."""
    words = "punkt" if _installed(PUNKT) else "plain"
    return f"{words} tokenizer, {'perceptron' if _installed(PERCEPTRON) else 'lexicon'} tagger"


#: words, commas behind them and one full stop at the end: nothing else in it concerns the word tokenizer
_PLAIN = re.compile(r" *[A-Za-z0-9-]+(?:,? +[A-Za-z0-9-]+)*\.? *")
#: what the word tokenizer takes apart although it is made of letters
_CONTRACTED = re.compile(r"--|cannot|gimme|gonna|gotta|lemme|wanna|whaddya", re.IGNORECASE)


def _tokenizer() -> Callable[[str], list[str]]:
    nltk = required("nltk", "text", "splitting sentences into words")
    if _installed(PUNKT):
        full = nltk.word_tokenize
    else:
        # without the sentence splitter's data: the same word tokenizer after a plain split at sentence ends, because
        # it detaches only the last full stop of what it is given
        words = nltk.tokenize.NLTKWordTokenizer()

        def full(text: str) -> list[str]:
            return [t for part in re.split(r"(?<=[.!?])\s+", text.strip()) for t in words.tokenize(part)]

    def tokens(text: str) -> list[str]:
        """Two dozen substitutions a sentence are most of the time of loading; most sentences need none."""
        if not _PLAIN.fullmatch(text) or _CONTRACTED.search(text):
            return list(full(text))
        return text.replace(",", " ,").replace(".", " .").split()

    return tokens


def _tagger() -> Tagger:
    if _installed(PERCEPTRON):
        import nltk

        return lambda tokens: [tag for _, tag in nltk.pos_tag(list(tokens))]
    en = required("textblob.en", "text", "tagging parts of speech without NLTK's tagger data")
    warnings.warn(
        "parts of speech come from TextBlob's lexicon and may differ from the references' tags: "
        "run `python -m nltk.downloader averaged_perceptron_tagger_eng punkt_tab` for those",
        UserWarning,
        stacklevel=3,
    )

    # what en.tag() asks too, without its way through a text of slashes and back
    return lambda tokens: [str(tag) for _, tag in en.parser.find_tags(list(tokens))]


def _installed(resource: str) -> bool:
    try:
        import nltk

        nltk.data.find(resource)
    except (ImportError, LookupError):
        return False
    return True


def masking_weight(tag: str, content: Sequence[str] = CONTENT_TAGS) -> float:
    """2 for a word whose tag has one of ``content`` in it (noun, verb, adjective, adverb), 1 for any other word.

    >>> masking_weight("NNS"), masking_weight("WRB"), masking_weight("DT")
    (2.0, 2.0, 1.0)
    """
    return 2.0 if any(part in tag for part in content) else 1.0


def masking_probabilities(
    weights: Float[Tensor, "*batch L"], word_mask: Bool[Tensor, "*batch L"]
) -> Float[Tensor, "*batch L"]:
    """Softmax of the weights over the words of each sentence; zero on padding and in rows without a word.

    A content word is thus drawn e = 2.72 times as often as another word.
    """
    scores = torch.where(word_mask, weights, -torch.inf)
    return torch.softmax(scores, dim=-1).masked_fill(~word_mask, 0.0)
