"""What the type of a feature (column 3) names: a gene, a transcript, a UTR, a whole contig."""

from __future__ import annotations

UTR_TYPES = frozenset({
    "five_prime_UTR", "three_prime_UTR", "UTR", "5UTR", "3UTR", "five_prime_utr", "three_prime_utr",
})  # fmt: skip
CONTIG_TYPES = frozenset({
    "region", "chromosome", "contig", "supercontig", "scaffold", "plasmid", "sequence",
    "databank_entry",
})  # fmt: skip


def can_be_gene(kind: str) -> bool:
    """Whether column 3 names a gene or a transcript."""
    return is_gene_type(kind) or is_transcript_type(kind)


def is_transcript_type(kind: str) -> bool:
    """Whether column 3 names a transcript: mRNA, tRNA, transcript, V_gene_segment ..."""
    return kind.endswith(("RNA", "transcript", "gene_segment", "RNA_TE_gene"))


def is_gene_type(kind: str) -> bool:
    """Whether column 3 names a gene: gene, pseudogene, ncRNA_gene, transposable_element_gene ..."""
    return kind.endswith("gene")
