"""The command: train an autoencoder on a genome, then describe its features.

OUT holds `sae.safetensors` and `sae.json` (the autoencoder and what it belongs to), the checkpoint
and log of its training, `features.tsv`, `examples.tsv`, `enrichment.tsv`, `tracks/`, `logos/` and
`overview.svg`.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from safetensors.torch import save

from genet5.config.json_files import save_json
from genet5.config.lm.sae import LmSaeConfig
from genet5.errors import ConfigError
from genet5.genome.sequence import BASE_INDEX, Bases, decode_bases
from genet5.lm.activations import Place, tiles, window_length
from genet5.lm.folders import LanguageModel
from genet5.lm.reference import ReferenceGenome
from genet5.lm.sae.classes import read_classes
from genet5.lm.sae.describe import Example, FeatureReader, Features
from genet5.lm.sae.enrichment import COLUMNS as ENRICHMENT_COLUMNS
from genet5.lm.sae.network import SparseAutoencoder
from genet5.lm.sae.pictures import draw_logo, draw_overview
from genet5.lm.sae.training import CHECKPOINT, SaeTrainer, settings_of
from genet5.lm.tables import TableWriter
from genet5.outputs import atomic_writer

log = logging.getLogger(__name__)

_FEATURES = {
    "feature": int,
    "active_tokens": int,
    "active_share": float,
    "mean_activation": float,
    "max_activation": float,
    "class": str,
    "fold": float,
    "p_adjusted": float,
}
_EXAMPLES = {
    "feature": int,
    "rank": int,
    "activation": float,
    "contig": str,
    "start": int,
    "sequence": str,
}


def train_and_describe(lm: LanguageModel, config: LmSaeConfig) -> Features:
    """Train the autoencoder, or take it up where it was left, and write the report.

    Raises:
        ConfigError: OUT has a run already, or the model has no such layer.
        DataError: The genome has no window of known bases.
    """
    layers = int(lm.network.config.num_hidden_layers)
    layer = layers // 2 if config.layer is None else config.layer
    if layer > layers:
        raise ConfigError("layer", layer, f"must be at most {layers}, the model's layers")
    has_run = (config.out / CHECKPOINT).exists()
    if has_run and not (config.resume or config.overwrite):
        rule = "holds a run already; --resume continues it, --overwrite replaces it"
        raise ConfigError("OUT", str(config.out), rule)
    with ReferenceGenome(config.fasta) as genome:
        length = window_length(lm, config.window_bp)
        places = [p for p in tiles(list(genome.lengths.items()), length) if _is_dna(genome, p)]
        trainer = SaeTrainer(lm, genome, places, layer, config)
        if has_run and config.resume:
            trainer.resume(config.out)
        network = trainer.train()
        _save(network, config, layer)
        reader = FeatureReader(lm, network, layer, genome, config.compute.batch_tokens)
        classes = read_classes(config.report.annotation, genome.find)
        found = reader.describe(places, classes, config.report.examples)
        _write_tables(found, genome, config)
        draw_overview(trainer.log, found, config.out / "overview.svg")
        chosen = found.chosen(config.report.tracks)
        if chosen:
            folder = config.out / "tracks"
            reader.write_tracks(places, chosen, folder, bigwig=config.report.bigwig)
        _draw_logos(found, chosen, genome, config)
    return found


def _is_dna(genome: ReferenceGenome, place: Place) -> bool:
    """Whether more than half of a window's letters are known bases."""
    bases = genome.bases(place.contig, place.start, place.end)
    return 2 * int((BASE_INDEX[bases] < 4).sum()) > len(bases)


def _save(network: SparseAutoencoder, config: LmSaeConfig, layer: int) -> None:
    tensors = {name: t.detach().cpu().contiguous() for name, t in network.state_dict().items()}
    with atomic_writer(config.out / "sae.safetensors", binary=True) as out:
        out.write(save(tensors))
    about: dict[str, Any] = {**settings_of(config), "layer": layer, "features": network.features}
    save_json(config.out / "sae.json", about)


def _write_tables(found: Features, genome: ReferenceGenome, config: LmSaeConfig) -> None:
    count, tests = len(found.active), found.enrichment
    with TableWriter(config.out / "features.tsv", _FEATURES) as table:
        for feature in range(count):
            active = int(found.active[feature])
            row: dict[str, Any] = {
                "feature": feature,
                "active_tokens": active,
                "active_share": active / max(1, found.tokens),
                "mean_activation": float(found.total[feature]) / max(1, active),
                "max_activation": max((e.activation for e in found.examples[feature]), default=0.0),
            }
            best = feature, tests.best_class(feature)
            if active and tests.expected[best]:
                row |= {
                    "class": tests.classes[best[1]],
                    "fold": float(tests.fold[best]),
                    "p_adjusted": float(tests.p_adjusted[best]),
                }
            table.write(row)
    with TableWriter(config.out / "enrichment.tsv", ENRICHMENT_COLUMNS) as table:
        for row in tests.rows([n for n in range(count) if found.active[n] > 0]):
            table.write(row)
    with TableWriter(config.out / "examples.tsv", _EXAMPLES) as table:
        for feature, examples in enumerate(found.examples):
            for rank, example in enumerate(examples, 1):
                bases = _context(genome, example, config.report.context_bp)
                table.write(
                    {
                        "feature": feature,
                        "rank": rank,
                        "activation": example.activation,
                        "contig": example.contig,
                        "start": example.start + 1,
                        "sequence": decode_bases(bases),
                    }
                )


def _context(genome: ReferenceGenome, example: Example, context_bp: int) -> Bases:
    start = example.start - context_bp
    return genome.bases(example.contig, start, example.start + context_bp + 1)


def _draw_logos(
    found: Features, chosen: list[int], genome: ReferenceGenome, config: LmSaeConfig
) -> None:
    context_bp, folder = config.report.context_bp, config.out / "logos"
    for feature in chosen:
        cut = [_context(genome, each, context_bp) for each in found.examples[feature]]
        whole = [bases for bases in cut if len(bases) == 2 * context_bp + 1]
        if len(whole) > 1:
            title = f"feature {feature}, {len(whole)} strongest places"
            draw_logo(whole, -context_bp, Path(folder / f"feature_{feature}.svg"), title)
