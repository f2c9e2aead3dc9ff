"""Tokenizer files: ours, those that `transformers` reads, and GENERator's published ones.

A model's folder holds `dna_tokenizer.json`, which says all of a k-mer vocabulary, the order of its
letters included, beside `tokenizer.json` and `tokenizer_config.json`, from which `AutoTokenizer`
makes a stock `PreTrainedTokenizerFast` with equal ids, without code of ours. That one adds no token
of the beginning by itself: write `<s>` into the text, so that there cannot be two.

GENERator's published folders hold `vocab.txt` and a class in Python, which is never run: the
vocabulary is read from the text, with or without ids, and must be a product of four letters.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genet5.config.json_files import load_json, read_utf8, save_json
from genet5.config.manifest import record_checksums
from genet5.errors import ConfigError, FormatError
from genet5.lm.bpe import BpeVocabulary
from genet5.lm.text import Vocabulary
from genet5.lm.vocabulary import KmerVocabulary, SpecialTokens

if TYPE_CHECKING:
    import tokenizers

OURS, FAST, FAST_CONFIG, PUBLISHED = (
    "dna_tokenizer.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.txt",
)
FORMAT = 1
_LOWER = "acgturyswkmbdhvnx"
_ROLES = {
    "unk": ("<oov>", "<unk>", "[UNK]", "UNKNOWN"),
    "pad": ("<pad>", "[PAD]", "PADDING"),
    "bos": ("<s>",),
    "eos": ("</s>",),
    "mask": ("<mask>", "[MASK]"),
}


def vocabulary_from_dict(values: Mapping[str, Any], where: str | Path = "") -> Vocabulary:
    """Make the vocabulary that `to_dict` described.

    Raises:
        FormatError: A key or value is wrong.
    """
    settings = dict(values)
    kind = settings.pop("kind", None)
    try:
        if kind == "bpe":
            return BpeVocabulary(json.dumps(settings["tokenizer"]))
        if kind == "kmer":
            specials = SpecialTokens(**settings.pop("specials"))
            return KmerVocabulary(**settings, specials=specials)
    except (TypeError, KeyError, ConfigError) as error:
        raise FormatError(f"tokenizer: {error}", path=where or None) from error
    raise FormatError(f"tokenizer kind {kind!r}", expected="kmer or bpe", path=where or None)


def save_vocabulary(vocabulary: Vocabulary, folder: Path) -> None:
    """Write a tokenizer into a model's folder, in our form and in that of `transformers`."""
    folder.mkdir(parents=True, exist_ok=True)
    save_json(folder / OURS, {"format": FORMAT, **vocabulary.to_dict()})
    if isinstance(vocabulary, BpeVocabulary):
        save_json(folder / FAST, vocabulary.to_dict()["tokenizer"])
    elif not vocabulary.is_overlapping:
        text = _fast_tokenizer(vocabulary).to_str(pretty=True)
        (folder / FAST).write_text(text + "\n", encoding="utf-8")
    else:
        record_checksums(folder, OURS)
        return
    save_json(folder / FAST_CONFIG, _fast_config(vocabulary))
    record_checksums(folder, OURS, FAST, FAST_CONFIG)


def load_vocabulary(folder: Path) -> Vocabulary:
    """Read the tokenizer of a model's folder: ours, a published k-mer one, or BPE.

    Raises:
        FormatError: There is none, or it is none of these.
    """
    if (folder / OURS).is_file():
        values = load_json(folder / OURS)
        if values.pop("format", None) != FORMAT:
            raise FormatError("another format", expected=f"format {FORMAT}", path=folder / OURS)
        return vocabulary_from_dict(values, folder / OURS)
    if (folder / PUBLISHED).is_file():
        return read_published(folder)
    if (folder / FAST).is_file():
        path = folder / FAST
        try:
            return BpeVocabulary(read_utf8(path))
        except ConfigError as error:
            raise FormatError(str(error), path=path) from error
    raise FormatError(
        "no tokenizer", expected=f"{OURS}, {PUBLISHED} or {FAST}", path=folder,
        remedy="Is it the folder of a DNA language model?",
    )  # fmt: skip


def read_published(folder: Path) -> KmerVocabulary:
    """Read a k-mer vocabulary in GENERator's layout, vocab.txt and tokenizer_config.json.

    A line of vocab.txt is a token, or a token and its id.

    Raises:
        FormatError: The k-mers are no product of four letters in one order.
    """
    path = folder / PUBLISHED
    tokens = _read_vocab(path)
    specials = {name: number for name, number in tokens.items() if not _is_kmer(name)}
    kmers = {name: number for name, number in tokens.items() if _is_kmer(name)}
    sizes = {len(name) for name in kmers}
    if len(sizes) != 1 or len(kmers) != 4 ** (k := sizes.pop()):
        raise FormatError(
            f"{len(kmers)} k-mers", expected="all 4^k k-mers of one length", path=path
        )
    config = load_json(folder / FAST_CONFIG) if (folder / FAST_CONFIG).is_file() else {}
    if int(config.get("k", k)) != k:
        raise FormatError(f"{k}-mers", expected=f"k = {config['k']} as in {FAST_CONFIG}", path=path)
    in_order = sorted(kmers, key=kmers.__getitem__)
    letters = "".join(name[-1] for name in in_order[:4])
    vocabulary = KmerVocabulary(
        k=k,
        letters=letters,
        first_id=kmers[in_order[0]],
        specials=_published_specials(specials, config, path),
    )
    wrong = [n for n, number in kmers.items() if vocabulary.decode([number]) != n]
    if wrong:
        raise FormatError(
            f"{wrong[0]} has id {kmers[wrong[0]]}",
            expected=f"the k-mers counted up in the order {letters}", path=path,
        )  # fmt: skip
    return vocabulary


def _read_vocab(path: Path) -> dict[str, int]:
    tokens: dict[str, int] = {}
    for number, line in enumerate(read_utf8(path).splitlines()):
        words = line.split()
        is_line = len(words) in (1, 2) and all(w.isdecimal() and len(w) < 10 for w in words[1:])
        if not is_line or words[0] in tokens:
            raise FormatError(
                f"line {line[:40]!r}", expected="a token, and perhaps its id", path=path,
                line=number + 1,
            )  # fmt: skip
        tokens[words[0]] = int(words[1]) if len(words) == 2 else number
    return tokens


def _is_kmer(name: str) -> bool:
    return re.fullmatch("[ACGT]+", name) is not None


def _published_specials(
    ids: Mapping[str, int], config: Mapping[str, Any], path: Path
) -> SpecialTokens:
    """Find what plays which part: by tokenizer_config.json, else by the usual names."""
    roles: dict[str, str | None] = {}
    for role, names in _ROLES.items():
        given = config.get(f"{role}_token")
        name = given.get("content") if isinstance(given, dict) else given
        candidates = (name, *names) if isinstance(name, str) else names
        roles[role] = next((each for each in candidates if each in ids), None)
    if roles["unk"] is None or roles["pad"] is None:
        raise FormatError("no unknown or padding token", expected="<oov> and <pad>", path=path)
    return SpecialTokens(
        ids=dict(ids), unk=roles["unk"], pad=roles["pad"],
        bos=roles["bos"], eos=roles["eos"], mask=roles["mask"],
    )  # fmt: skip


def _fast_tokenizer(vocabulary: KmerVocabulary) -> tokenizers.Tokenizer:
    """Return the `tokenizers` form: words of k letters, each looked up whole."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers
    from tokenizers.pre_tokenizers import Split

    table = {
        vocabulary.decode([number]): number
        for number in range(vocabulary.first_id, vocabulary.first_id + 4**vocabulary.k)
    }
    specials = vocabulary.specials
    table |= specials.ids
    fast = Tokenizer(models.WordLevel(table, unk_token=specials.unk))
    upper = [normalizers.Replace(letter, letter.upper()) for letter in _LOWER]
    fast.normalizer = normalizers.Sequence([*upper, normalizers.Replace("U", "T")])
    fast.pre_tokenizer = Split(Regex(f".{{1,{vocabulary.k}}}"), "isolated")
    fast.decoder = decoders.Fuse()
    names = sorted(specials.ids, key=specials.ids.__getitem__)
    tags = [name for name in names if not name.isalpha() or len(name) > vocabulary.k]
    fast.add_special_tokens([AddedToken(name, normalized=False, special=True) for name in tags])
    return fast


def _fast_config(vocabulary: Vocabulary) -> dict[str, Any]:
    """Return `tokenizer_config.json`; padding on the left suits generation, no token is added."""
    config: dict[str, Any] = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "clean_up_tokenization_spaces": False,
        "padding_side": "right",
        "truncation_side": "right",
        "add_bos_token": False,
        "add_eos_token": False,
    }
    names = {number: name for name, number in vocabulary.special_ids.items()}
    roles = {"unk": vocabulary.unk_id, "pad": vocabulary.pad_id}
    roles |= {"bos": vocabulary.bos_id, "eos": vocabulary.eos_id}  # type: ignore[dict-item]
    for role, number in roles.items():
        if number is not None:
            config[f"{role}_token"] = names[number]
    return config
