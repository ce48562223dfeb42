"""Words and their ids: 0 is padding and, in the reconstruction loss, the end symbol."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Vocabulary:
    """The words a reconstructor may predict, most frequent first; word ``words[i]`` has id ``i + 1``.

    >>> v = Vocabulary.from_counts({"a": 3, "door": 2, "opens": 2}, size=2)
    >>> v.ids(["a", "window", "door"])
    [1, 2]
    >>> len(v)
    3
    """

    words: tuple[str, ...]
    _index: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_index", {word: i + 1 for i, word in enumerate(self.words)})

    @classmethod
    def from_counts(cls, counts: dict[str, int], size: int | None = None) -> "Vocabulary":
        """The ``size`` most frequent words; ties keep the order in which they were first counted."""
        return cls(tuple(word for word, _ in Counter(counts).most_common(size)))

    @classmethod
    def from_sentences(cls, sentences: Iterable[Sequence[str]], size: int | None = None) -> "Vocabulary":
        """Count tokens over ``sentences`` and keep the ``size`` most frequent."""
        return cls.from_counts(Counter(token for tokens in sentences for token in tokens), size)

    def __len__(self) -> int:
        """Number of ids, padding included (V)."""
        return len(self.words) + 1

    def __contains__(self, word: object) -> bool:
        return word in self._index

    def ids(self, tokens: Iterable[str]) -> list[int]:
        """Ids of the known tokens; unknown ones are dropped, as in the references (there is no UNK)."""
        return [self._index[token] for token in tokens if token in self._index]

    def word(self, word_id: int) -> str:
        """The word of an id; ``"<end>"`` for 0."""
        return self.words[word_id - 1] if word_id else "<end>"
