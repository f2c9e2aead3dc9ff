"""What `finet` needs, as small as it gets: data of a simulated genome and a model of some thousand weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from genet5.config.bake import BakeConfig
from genet5.config.model import preset
from genet5.dataset.bake import bake
from genet5.genome.io.fasta import write_fasta
from genet5.genome.io.gff3 import write_gff3
from genet5.genome.sequence import decode_bases
from genet5.model.network import GeneT5
from genet5.simulate.prokaryote import simulate_bacterium
from genet5.tokens.sequence import KmerTokenizer
from genet5.tokens.tokenizer_file import Tokenizer, save_tokenizer


@pytest.fixture(scope="session")
def toy_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """training.packed, validation.packed and base, a model with dropout."""
    out = tmp_path_factory.mktemp("toy")
    contigs, genes = simulate_bacterium(40_000, seed=1, num_contigs=4)
    write_fasta(out / "g.fa", [(contig.name, decode_bases(contig.bases)) for contig in contigs])
    with (out / "g.gff3").open("w", encoding="utf-8") as lines:
        write_gff3(lines, genes, {contig.name: len(contig.bases) for contig in contigs})
    tokenizer = Tokenizer(KmerTokenizer(4))
    shape = preset("nano")
    shape = replace(
        shape,
        width=16,
        sequence_vocab=tokenizer.sequence.vocab_size,
        structure_vocab=len(tokenizer.structure),
        base_channels=16,
        pointer_width=8,
        encoder=replace(shape.encoder, layers=1, ff_dim=16, dropout=0.1),
        compressor=replace(shape.compressor, ff_dim=16),
        decoder=replace(shape.decoder, layers=1, ff_dim=16, dropout=0.1),
    )
    model = GeneT5(shape)
    model.init_weights(0)
    model.save_pretrained(out / "base")
    save_tokenizer(tokenizer, out / "base")
    bake(
        BakeConfig(
            fasta=out / "g.fa",
            gff=out / "g.gff3",
            output_dir=out,
            tokenizer=out / "base",
            window_size=300,
            target=150,
            hard_limit=300,
            valid_share=0.25,
            split_by="contig",
        )
    )
    return out
