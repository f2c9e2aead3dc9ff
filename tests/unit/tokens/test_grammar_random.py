"""Random decoding under the grammar: whatever is chosen among the legal labels, the genes are valid and the row ends."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest

from genet5.errors import DataError
from genet5.genome.codes import genetic_code
from genet5.genome.sequence import decode_bases, encode_bases
from genet5.tokens.grammar import (
    Grammar,
    GrammarOptions,
    first_illegal,
    legal_weights,
    prokaryote_options,
)
from genet5.tokens.structure import decode_window
from genet5.tokens.vocabulary import TAXA, StructureVocabulary

VOCABULARY = StructureVocabulary()
EVERYTHING = {
    "utr": True,
    "isoforms": 3,
    "at_ac": True,
    "gene_types": ("tRNA", "protein_coding", "pseudogene"),
}
OPTIONS = {
    "prokaryote": prokaryote_options(),
    "prokaryote_rna": prokaryote_options(gene_types=("protein_coding", "tRNA")),
    "eukaryote": GrammarOptions(),
    "short_introns": GrammarOptions(min_intron=4, at_ac=True),
    "utr": GrammarOptions(utr=True, min_intron=5),
    "isoforms": GrammarOptions(isoforms=3, min_intron=10),
    "everything": GrammarOptions(**EVERYTHING, min_intron=6),
    "splice_free": GrammarOptions(level="splice_free", min_intron=6, utr=True),
    "off": GrammarOptions(level="off", **EVERYTHING),
    "off_prokaryote": prokaryote_options(level="off"),
}


def random_window(rng, length, letters="ACGT", weights=None):
    return encode_bases("".join(rng.choice(list(letters), size=length, p=weights)))


def random_windows(rng, count, longest):
    kinds = (("ACGT", None), ("ATGC", (0.35, 0.35, 0.2, 0.1)), ("ACGTNacgtnRY", None))
    for kind in itertools.islice(itertools.cycle(kinds), count):
        yield random_window(rng, int(rng.integers(1, longest)), *kind)


def decode_at_random(grammar, rng, *, eager=0.9):
    """Choose among the legal labels; `eager` is the chance to avoid <eos> where there is a choice."""
    rows = [list(prompt) for prompt in grammar.prompt]
    while not grammar.finished.all():
        tokens, positions = grammar.legal_tokens(), grammar.legal_positions()
        wants, finished = grammar.wants_position, grammar.finished
        chosen = np.empty(len(rows), dtype=np.int64)
        for row in range(len(rows)):
            legal = np.flatnonzero(positions[row] if wants[row] else tokens[row])
            assert len(legal), f"dead end behind {rows[row]}"
            if not wants[row] and len(legal) > 1 and rng.random() < eager:
                legal = legal[legal != VOCABULARY.eos]
            # the first legal bases are chosen more often: genes that fit several to a window
            reach = len(legal) if rng.random() < 0.5 else min(len(legal), 40)
            pick = int(legal[rng.integers(reach)])
            chosen[row] = -1 - pick if wants[row] else pick
            if not finished[row]:
                rows[row].append(int(chosen[row]))
        grammar.advance(chosen)
    return rows


class Checker:
    """Says, in plain string operations, what is wrong with a gene of a window."""

    def __init__(self, bases, code, options):
        self.dna = decode_bases(bases).upper()
        self.code, self.options = genetic_code(code), options

    def fault(self, gene):
        for transcript in gene.transcripts:
            coding = gene.type in self.options.coding_types
            fault = self.structure(transcript, coding) or self.introns(transcript, gene.strand)
            if not fault and coding:
                fault = self.cds(transcript, gene.strand)
            if fault:
                return f"{fault}: {gene}"
        return ""

    def structure(self, t, coding):
        last, options = len(self.dna) - 1, self.options
        kinds = [part.kind for part in t.parts]
        if coding and ("exon" in kinds or ("utr" in kinds and not options.utr)):
            return "kind"
        if not coding and set(kinds) - {"exon"}:
            return "kind"
        if not t.parts:
            return "" if options.introns and t.cut_left and t.cut_right else "no part"
        if not options.introns:
            if len(t.parts) > 1 or t.cut_left > (t.parts[0].first == 0):
                return "intron or wrong left cut"
            if t.cut_right > (t.parts[-1].last == last):
                return "wrong right cut"
        order = "".join({"utr": "u", "cds": "c", "exon": "e"}[kind] for kind in kinds)
        if "uc" in order.strip("u").strip("c"):
            return "UTR within the CDS"
        return ""

    def introns(self, t, strand):
        dna, options = self.dna, self.options
        pairs = [(a.last + 1, b.first) for a, b in itertools.pairwise(t.parts)]
        for (start, end), (a, b) in zip(pairs, itertools.pairwise(t.parts), strict=True):
            if start == end and a.kind != b.kind:
                continue
            if end - start < options.min_intron:
                return "short intron"
            if options.level != "strict":
                continue
            site = dna[start : start + 2], dna[end - 2 : end]
            if strand < 0:
                site = tuple(self.reverse(s) for s in site[::-1])
            legal = [("GT", "AG"), ("GC", "AG")] + [("AT", "AC")] * options.at_ac
            if site not in legal:
                return f"intron {site}"
        return ""

    def cds(self, t, strand):
        pieces = [self.dna[p.first : p.last + 1] for p in t.parts if p.kind == "cds"]
        if not pieces:
            return "" if t.cut_left or t.cut_right else "coding gene without CDS"
        parts = [p.kind for p in t.parts]
        open_left = t.cut_left and parts[0] == "cds"
        open_right = t.cut_right and parts[-1] == "cds"
        sequence = "".join(pieces)
        frame = 0
        if open_left:
            frame = t.frame if strand > 0 else 2 - t.frame
        sequence = "." * frame + sequence
        tail = -len(sequence) % 3
        if tail and not open_right:
            return "CDS not whole codons"
        triples = [(sequence + "." * tail)[i : i + 3] for i in range(0, len(sequence), 3)]
        if strand < 0:
            triples = [self.reverse(triple) for triple in triples]
        stops, starts = self.code.stops, self.options.start_codons
        first, last = (starts, stops) if strand > 0 else (stops, starts)
        if not open_left and not self.fits(triples[0], first):
            return f"opens with {triples[0]}"
        if not open_right and not self.fits(triples[-1], last):
            return f"closes with {triples[-1]}"
        inner = triples[:]
        # a UTR beside the CDS makes it whole; a cut CDS with UTRs may end or begin at the edge itself
        if strand > 0 and not open_right:
            inner = inner[:-1]
        if strand < 0 and not open_left:
            inner = inner[1:]
        if self.options.utr and (open_right if strand > 0 else open_left):
            inner = inner[:-1] if strand > 0 else inner[1:]
        return f"inner stop in {inner}" if any(triple in stops for triple in inner) else ""

    @staticmethod
    def fits(triple, codons):
        return any(
            all(x in (".", y) for x, y in zip(triple, codon, strict=True)) for codon in codons
        )

    @staticmethod
    def reverse(text):
        table = str.maketrans("ACGT", "TGCA")
        return text.translate(table)[::-1]


def order_is_kept(genes):
    firsts = [next((p.first for t in g.transcripts[:1] for p in t.parts), -1) for g in genes]
    keys = [
        (first, g.strand, g.type, g.transcripts[0].cut_left, g.transcripts[0].frame)
        for first, g in zip(firsts, genes, strict=True)
    ]
    return firsts == sorted(firsts) and len(set(keys)) == len(keys)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", OPTIONS)
def test_random_choices_among_legal_labels_make_only_valid_genes(name, seed):
    options, rng = OPTIONS[name], np.random.default_rng(seed)
    windows = list(random_windows(rng, 12, 400))
    codes = [int(c) for c in rng.choice([1, 4, 11], size=len(windows))]
    rows = decode_at_random(Grammar(windows, codes, options, VOCABULARY), rng)
    found = 0
    for row, bases, code in zip(rows, windows, codes, strict=True):
        assert row[-1] == VOCABULARY.eos
        assert len(row) <= options.max_labels
        structure = decode_window(row, VOCABULARY)
        assert structure.genetic_code == code
        assert order_is_kept(structure.genes)
        assert all(len(g.transcripts) <= options.isoforms for g in structure.genes)
        if options.level != "off":
            checker = Checker(bases, code, options)
            assert [f for f in map(checker.fault, structure.genes) if f] == []
        found += len(structure.genes)
    assert found > 20


def first_refused(row, bases, code, options):
    """What `first_illegal` should say, by the automaton itself."""
    roomy = dataclasses.replace(options, max_labels=len(row) + 100)
    taxon = row[2] - VOCABULARY.taxon(TAXA[0]) if len(row) > 2 else -1
    taxa = [TAXA[taxon] if 0 <= taxon < len(TAXA) else None]
    grammar = Grammar([bases], [code], roomy, VOCABULARY, taxa=taxa)
    begin = len(grammar.prompt[0])
    for index, label in enumerate(row[begin:], start=begin):
        if grammar.finished[0]:
            return index
        try:
            grammar.advance([label])
        except DataError:
            return index
    return None if grammar.finished[0] else len(row)


def mutated(row, rng, length):
    row = list(row)
    for _ in range(int(rng.integers(1, 3))):
        at = int(rng.integers(2, len(row)))
        change = rng.integers(5)
        if row[at] < 0 and change < 3:
            moved = int(np.clip(-1 - row[at] + rng.integers(-4, 5), 0, length - 1))
            row[at] = -1 - moved
        elif change == 3:
            del row[at]
        elif change == 4:
            row.insert(at, int(rng.choice(row)))
        else:
            row[at] = int(rng.integers(len(VOCABULARY)))
        if len(row) < 4:
            break
    return row


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("name", OPTIONS)
def test_replay_and_automaton_agree_on_legal_and_on_spoilt_rows(name, seed):
    options, rng = OPTIONS[name], np.random.default_rng(100 + seed)
    windows = list(random_windows(rng, 9, 150))
    rows = decode_at_random(Grammar(windows, [11] * 9, options, VOCABULARY), rng, eager=0.6)
    for row, bases in zip(rows, windows, strict=True):
        assert first_illegal(row, bases, 11, options, VOCABULARY) is None
        assert legal_weights(row, bases, 11, options, VOCABULARY).all()
        for _ in range(4):
            spoilt = mutated(row, rng, len(bases))
            expected = first_refused(spoilt, bases, 11, options)
            assert first_illegal(spoilt, bases, 11, options, VOCABULARY) == expected, spoilt
