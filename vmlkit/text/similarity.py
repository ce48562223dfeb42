"""How alike two sentences are: TF-IDF without any download, or a sentence encoder from a local folder.

Both give the cosine of two vectors for the pairs that are asked for, so that no N x N table is ever made.
"""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int

from vmlkit.errors import DataError, required

#: elements compared at a time
_BLOCK = 4_000_000


class TfidfSimilarity:
    """Cosine of TF-IDF vectors: word counts times ``ln((1 + N) / (1 + df)) + 1``, N being the number of sentences.

    The weights are fitted on the sentences themselves.  Words are lower-cased runs of letters and digits; order and
    meaning do not count, so "opens the door" and "closes the door" are rather alike, and two paraphrases without a
    common word have similarity 0.

    >>> tfidf = TfidfSimilarity(["person opens a door", "A door: opens person.", "someone laughs"])
    >>> tfidf.pairs(np.array([0, 0]), np.array([1, 2])).round(2)
    array([1., 0.])
    """

    name = "TF-IDF"

    def __init__(self, sentences: Sequence[str]) -> None:
        counts = [Counter(words(sentence)) for sentence in sentences]
        spread = Counter(word for count in counts for word in count)
        ids = {word: i for i, word in enumerate(sorted(spread))}
        idf = {word: np.log((1 + len(counts)) / (1 + df)) + 1 for word, df in spread.items()}
        width = max((len(count) for count in counts), default=1)
        self.ids = np.full((len(counts), max(1, width)), -1)
        self.weights = np.zeros(self.ids.shape)
        for row, count in enumerate(counts):
            self.ids[row, : len(count)] = [ids[word] for word in count]
            self.weights[row, : len(count)] = [number * idf[word] for word, number in count.items()]
        norm = np.linalg.norm(self.weights, axis=1, keepdims=True)
        self.weights /= np.where(norm > 0, norm, 1)
        self.lengths = np.array([len(count) for count in counts])

    def pairs(self, first: Int[np.ndarray, " P"], second: Int[np.ndarray, " P"]) -> Float[np.ndarray, " P"]:
        """Cosine of the sentences at these positions, in [0, 1]; 0 where one has no word."""
        out = np.zeros(len(first))
        longest = np.maximum(self.lengths[first], self.lengths[second])
        # pairs of similar length share a block, so that short sentences are not padded to the longest of all
        order, start = np.argsort(-longest, kind="stable"), 0
        while start < len(order):
            width = max(1, int(longest[order[start]]))
            block = order[start : start + max(1, _BLOCK // width**2)]
            i, j = first[block], second[block]
            same = self.ids[i, :width, None] == self.ids[j, None, :width]
            out[block] = np.einsum("pa,pb,pab->p", self.weights[i, :width], self.weights[j, :width], same)
            start += len(block)
        return out


class EncoderSimilarity:
    """Cosine of sentence embeddings of a local transformer, such as a MiniLM of the SentenceBERT family.

    Token states of the last layer are averaged over the words of the sentence and normalised, as those models are
    trained.  Nothing is downloaded, and weights are read from safetensors only.

    Args:
        sentences: the list.
        folder: with ``config.json``, tokenizer files and ``model.safetensors``.
        batch: sentences encoded at a time.

    Raises:
        MissingDependency: without the package ``transformers``.
        DataError: for a folder that is missing or holds no usable model.
    """

    def __init__(self, sentences: Sequence[str], folder: str | Path, batch: int = 256) -> None:
        self.name = f"encoder {Path(folder).name}"
        tokenizer, model = load_encoder(folder)
        self.vectors = embed_sentences(sentences, tokenizer, model, batch)

    def pairs(self, first: Int[np.ndarray, " P"], second: Int[np.ndarray, " P"]) -> Float[np.ndarray, " P"]:
        """Cosine of the sentences at these positions, in [-1, 1]."""
        out = np.zeros(len(first))
        step = max(1, _BLOCK // self.vectors.shape[1])
        for start in range(0, len(first), step):
            part = slice(start, start + step)
            out[part] = np.einsum("pd,pd->p", self.vectors[first[part]], self.vectors[second[part]])
        return out


#: the similarity of pairs of sentences from a fixed list: ``name`` for reports, ``pairs(first, second)``
SentenceSimilarity = TfidfSimilarity | EncoderSimilarity


def sentence_similarity(sentences: Sequence[str], encoder: str | Path | None = None) -> SentenceSimilarity:
    """The encoder's similarity where a folder is given, TF-IDF otherwise."""
    return TfidfSimilarity(sentences) if encoder is None else EncoderSimilarity(sentences, encoder)


def words(sentence: str) -> list[str]:
    """Lower-cased runs of letters and digits.

    >>> words("A person's laptop, 2 cups.")
    ['a', 'person', 's', 'laptop', '2', 'cups']
    """
    return re.findall(r"[^\W_]+", sentence.lower())


def load_encoder(folder: str | Path) -> tuple[Any, Any]:
    """Tokenizer and model of a local folder; raises as :class:`EncoderSimilarity`."""
    if not (Path(folder) / "config.json").is_file():
        raise DataError(folder, "is no folder with a config.json", "give the folder of a saved sentence encoder")
    transformers = required("transformers", "text", "sentence similarity by an encoder")
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
        model = transformers.AutoModel.from_pretrained(str(folder), local_files_only=True, use_safetensors=True)
    except (OSError, ValueError, KeyError) as error:
        what = f"holds no usable encoder ({' '.join(str(error).split())[:160]})"
        raise DataError(folder, what, "give config.json, tokenizer files and model.safetensors") from error
    return tokenizer, model.eval()


@torch.inference_mode()
def embed_sentences(sentences: Sequence[str], tokenizer: Any, model: Any, batch: int) -> Float[np.ndarray, "N D"]:
    """Unit vectors ``(N, D)`` float32: the mean of the last token states over each sentence's own tokens."""
    parts = []
    for start in range(0, len(sentences), batch):
        tokens = tokenizer(list(sentences[start : start + batch]), padding=True, truncation=True, return_tensors="pt")
        tokens = {name: value.to(model.device) for name, value in tokens.items()}
        states = model(**tokens).last_hidden_state.float()  # (B, L, D)
        mask = tokens["attention_mask"][..., None].float()
        mean = (states * mask).sum(dim=1) / mask.sum(dim=1).clamp_min(1)
        parts.append(torch.nn.functional.normalize(mean, dim=-1).cpu())
    return torch.cat(parts).numpy()
