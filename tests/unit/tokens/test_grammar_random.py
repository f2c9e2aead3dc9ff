"""Random decoding under the grammar: any choice of legal labels gives valid genes and ends."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest

from genet5.config.clades import CLADES
from genet5.errors import DataError
from genet5.genome.codes import genetic_code
from genet5.genome.sequence import decode_bases, encode_bases
from genet5.tokens.grammar import (
    Grammar,
    GrammarOptions,
    prokaryote_options,
)
from genet5.tokens.structure import decode_window, encode_window
from genet5.tokens.vocabulary import StructureVocabulary
from genet5.tokens.window import Part, WindowGene, WindowStructure, WindowTranscript
from replay import Replay, first_illegal, legal_weights, view_violations

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
    "tight": GrammarOptions(utr=True, isoforms=2, min_intron=6, max_labels=24),
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
    """Choose among the legal labels; `eager` is the chance to avoid <eos> where possible."""
    rows = [list(prompt) for prompt in grammar.prompt]
    while not grammar.finished.all():
        tokens, positions = grammar.legal_tokens(), grammar.legal_positions()
        wants, finished = grammar.wants_position, grammar.finished
        chosen = np.empty(len(rows), dtype=np.int64)
        for row in range(len(rows)):
            legal = np.flatnonzero(positions[row] if wants[row] else tokens[row])
            assert len(legal), f"dead end after {rows[row]}"
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
    """Finds what a gene of a window violates by plain string operations: all rules, once more."""

    def __init__(self, bases, code, options):
        self.dna = decode_bases(bases).upper()
        self.code, self.options = genetic_code(code), options
        self.sites = [("GT", "AG"), ("GC", "AG")] + [("AT", "AC")] * options.at_ac

    def violation(self, gene):
        for transcript in gene.transcripts:
            coding = gene.type in self.options.coding_types
            violation = (
                self.structure(transcript, coding)
                or self.edges(transcript, gene.strand)
                or self.introns(transcript, gene.strand)
                or (coding and self.cds(transcript, gene.strand))
            )
            if violation:
                return f"{violation}: {gene}"
        return ""

    def is_of_the_language(self, gene):
        """Whether some annotation makes this: kinds in order, and a frame that fits them."""
        (t,) = gene.transcripts
        coding = gene.type in self.options.coding_types
        if any(a.last + 1 == b.first and a.kind == b.kind for a, b in itertools.pairwise(t.parts)):
            return False  # one part
        violation = self.structure(t, coding) or (coding and self.cds(t, gene.strand))
        return violation in ("", False, "CDS", "CDS not whole codons", "intron")

    def structure(self, t, coding):
        kinds = "".join(part.kind[0] for part in t.parts)
        if (t.frame is None) == (coding and t.cut_left) and not self.options.utr:
            return "frame"
        if not set(kinds) <= set("cu" if self.options.utr else "c") and coding:
            return "kind"
        if not coding and (set(kinds) - {"e"} or t.frame is not None):
            return "kind or frame"
        if not kinds:
            return "" if self.options.introns and t.cut_left and t.cut_right else "no part"
        if len(kinds) > 1 and not (self.options.introns or self.options.utr):
            return "intron"
        if "c" in kinds.strip("u") and "u" in kinds.strip("u"):
            return "UTR within the CDS"
        return ""

    def edges(self, t, strand):
        """A cut is at the window's edge, or in an intron whose visible bases fit."""
        last, dna = len(self.dna) - 1, self.dna
        if not t.parts:
            return ""
        if t.cut_left and t.parts[0].first > 0:
            first = t.parts[0].first
            if not self.options.introns:
                return "wrong left cut"
            if not self.is_site(("..", ("." + dna[:first])[-2:]), strand):
                return "left cut without splice site"
        if t.cut_right and t.parts[-1].last < last:
            if not self.options.introns:
                return "wrong right cut"
            if not self.is_site(((dna[t.parts[-1].last + 1 :] + ".")[:2], ".."), strand):
                return "right cut without splice site"
        return ""

    def introns(self, t, strand):
        for a, b in itertools.pairwise(t.parts):
            start, end = a.last + 1, b.first
            if start == end and a.kind != b.kind:
                continue
            if not self.options.introns or end - start < self.options.min_intron:
                return "short intron"
            if not self.is_site((self.dna[start : start + 2], self.dna[end - 2 : end]), strand):
                return "intron"
        return ""

    def is_site(self, site, strand):
        if strand < 0:
            site = tuple(self.reverse(s) for s in site[::-1])
        fits = any(self.fits(site[0], [d]) and self.fits(site[1], [a]) for d, a in self.sites)
        return fits or self.options.level != "strict"

    def cds(self, t, strand):
        coding = [p for p in t.parts if p.kind == "cds"]
        utr = self.options.utr
        whole_frame = 0 if strand > 0 else 2
        if not coding:
            lies_right = t.cut_right and (not t.cut_left or t.frame == whole_frame)
            lies_left = t.cut_left and t.frame is None
            no_part = not t.parts and (t.frame is not None or utr)
            return "" if no_part or lies_left or lies_right else "coding gene without CDS"
        if t.cut_left and t.frame is None:
            return "CDS without frame"
        open_left = t.cut_left and t.parts[0].kind == "cds"
        open_right = t.cut_right and t.parts[-1].kind == "cds"
        if t.cut_left and not open_left and t.frame != whole_frame:
            return "frame of a whole CDS"
        frame = (t.frame if strand > 0 else 2 - t.frame) if open_left else 0
        sequence = "." * frame + "".join(self.dna[p.first : p.last + 1] for p in coding)
        tail = -len(sequence) % 3
        if tail and not open_right:
            return "CDS not whole codons"
        triples = [(sequence + "." * tail)[i : i + 3] for i in range(0, len(sequence), 3)]
        # with UTRs, a CDS that touches a cut may as well end there
        ways = itertools.product(
            (False, True) if open_left and utr else (not open_left,),
            (False, True) if open_right and utr and not tail else (not open_right,),
        )
        return "" if any(self.reads(triples, strand, *way) for way in ways) else "CDS"

    def reads(self, triples, strand, whole_left, whole_right):
        stops, starts = self.code.stops, self.options.start_codons
        if strand < 0:
            triples = [self.reverse(triple) for triple in reversed(triples)]
            whole_left, whole_right = whole_right, whole_left
        inner = triples[:-1] if whole_right else triples
        return not (
            any(triple in stops for triple in inner)
            or (whole_left and not self.fits(triples[0], starts))
            or (whole_right and not self.fits(triples[-1], stops))
        )

    @staticmethod
    def fits(seen, words):
        return any(all(x in (".", y) for x, y in zip(seen, w, strict=True)) for w in words)

    @staticmethod
    def reverse(text):
        return text.translate(str.maketrans("ACGT", "TGCA"))[::-1]


def order_is_kept(genes):
    firsts = [next((p.first for t in g.transcripts[:1] for p in t.parts), -1) for g in genes]
    keys = [
        (first, g.strand, g.type, g.transcripts[0].cut_left, g.transcripts[0].frame)
        for first, g in zip(firsts, genes, strict=True)
    ]
    return firsts == sorted(firsts) and len(set(keys)) == len(keys)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
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
            assert [f for f in map(checker.violation, structure.genes) if f] == []
        found += len(structure.genes)
    assert found > 10


def all_transcripts(length, kinds, most_parts):
    """Every transcript a window could show, legal or not."""
    for count in range(most_parts + 1):
        spans = [
            [(a, b - 1) for a, b in zip(cut[::2], cut[1::2], strict=True)]
            for cut in itertools.combinations_with_replacement(range(length + 1), 2 * count)
        ]
        spans = [span for span in spans if all(first <= last for first, last in span)]
        for span, named in itertools.product(spans, itertools.product(kinds, repeat=count)):
            parts = tuple(Part(k, *s) for k, s in zip(named, span, strict=True))
            for frame, right in itertools.product(("uncut", 0, 1, 2, None), (False, True)):
                if parts or (frame != "uncut" and right):
                    known = None if frame == "uncut" else frame
                    yield WindowTranscript(parts, frame != "uncut", right, known)


EXHAUSTIVE = {
    "prokaryote": (prokaryote_options(), 13, ("cds",), 1),
    "eukaryote": (GrammarOptions(min_intron=3, at_ac=True), 10, ("cds",), 2),
    "utr": (GrammarOptions(min_intron=4, utr=True), 8, ("cds", "utr"), 2),
    "splice_free": (GrammarOptions(level="splice_free", min_intron=1), 7, ("cds",), 3),
    "non_coding": (GrammarOptions(gene_types=("tRNA",), min_intron=2), 8, ("exon",), 2),
}
FRAGMENTS = ["ATG", "CAT", "TAA", "TTA", "GT", "AG", "CT", "AC", "TGA", "A", "T", "N"]


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0])
@pytest.mark.parametrize("name", EXHAUSTIVE)
def test_the_grammar_allows_all_legal_genes_of_a_small_window_and_no_other(name, seed):
    options, length, kinds, most_parts = EXHAUSTIVE[name]
    rng = np.random.default_rng(seed)
    bases = encode_bases("".join(rng.choice(FRAGMENTS, size=length))[:length])
    checker, legal = Checker(bases, 11, options), []
    replay = Replay(bases, 11, options, VOCABULARY)
    for transcript in all_transcripts(len(bases), kinds, most_parts):
        for strand in (1, -1):
            gene = WindowGene(options.gene_types[0], strand, (transcript,))
            row = encode_window(WindowStructure(11, None, (gene,)), VOCABULARY).tolist()
            replay.restart()
            accepted = replay.accepts(row[2:-1])
            assert accepted == (not checker.violation(gene)), (decode_bases(bases), gene)
            if checker.is_of_the_language(gene):
                violated = view_violations(gene, bases, 11, options)
                assert accepted == (not violated), (decode_bases(bases), gene, violated)
            if accepted:
                legal.append(row)
    assert len(legal) > 5
    longest = max(map(len, legal))
    padded = np.array([row + [VOCABULARY.pad] * (longest - len(row)) for row in legal])
    grammar = Grammar([bases] * len(legal), [11] * len(legal), options, VOCABULARY)
    for step in range(2, longest):
        grammar.advance(padded[:, step])
    assert grammar.finished.all()


def first_refused(row, bases, code, options):
    """What `first_illegal` should return, by the automaton itself."""
    roomy = dataclasses.replace(options, max_labels=len(row) + 100)
    clade = row[2] - VOCABULARY.first_clade if len(row) > 2 else -1
    clades = [[*CLADES][clade] if 0 <= clade < len(CLADES) else None]
    grammar = Grammar([bases], [code], roomy, VOCABULARY, clades=clades)
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


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0])
@pytest.mark.parametrize("name", OPTIONS)
def test_replay_and_automaton_agree_on_legal_and_on_spoilt_rows(name, seed):
    options, rng = OPTIONS[name], np.random.default_rng(100 + seed)
    windows = list(random_windows(rng, 6, 150))
    rows = decode_at_random(Grammar(windows, [11] * 6, options, VOCABULARY), rng, eager=0.6)
    for row, bases in zip(rows, windows, strict=True):
        assert first_illegal(row, bases, 11, options, VOCABULARY) is None
        assert legal_weights(row, bases, 11, options, VOCABULARY).all()
        for _ in range(4):
            spoilt = mutated(row, rng, len(bases))
            expected = first_refused(spoilt, bases, 11, options)
            assert first_illegal(spoilt, bases, 11, options, VOCABULARY) == expected, spoilt
