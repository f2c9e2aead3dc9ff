"""Training of language models on the loop of `train`: `pretrain`.

A run is one of `train.run` in every other respect: checkpoints, exact resume, DDP and FSDP2, logs,
early stopping, the files of its directory.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path

from genet5.config.lm.pretrain import LmPretrainConfig
from genet5.dataset.loader import Loader
from genet5.dataset.packed import PackedReader
from genet5.errors import DataError
from genet5.lm.causal_batch import CausalCollator
from genet5.lm.causal_loss import CausalLoss
from genet5.lm.folders import LanguageModel, load_model, model_folder
from genet5.lm.text import Vocabulary
from genet5.lm.trainable import TrainableLm, causal_objective
from genet5.train.distributed.processes import Ranks
from genet5.train.run import Parts, TrainResult, run_family
from genet5.train.setup import Mixing, check_splits, mixing_of
from genet5.train.state.random_state import derive_seed

log = logging.getLogger(__name__)

_ATTENTION = {
    "auto": "sdpa",
    "sdpa": "sdpa",
    "flash": "flash_attention_2",
    "flex": "flex_attention",
}
_COMPANIONS = (
    *("config.json", "generation_config.json", "dna_tokenizer.json", "tokenizer.json"),
    *("tokenizer_config.json", "special_tokens_map.json", "vocab.txt"),
)


def pretrain(config: LmPretrainConfig) -> TrainResult:
    """Train a language model; errors are those of `train.run.run_training`."""
    return run_family(config, causal_parts, lambda base: model_folder(str(base)))


def causal_parts(config: LmPretrainConfig, ranks: Ranks, *, whole_sequences: bool = False) -> Parts:
    """Open BASE and the baked files of a language model.

    Args:
        config: The run.
        ranks: Its processes.
        whole_sequences: Windows are whole sequences, which have an end, and whose clade may be the
            name of a prompt token.

    Raises:
        CheckpointError: BASE is no language model.
        DataError: The data have other tokens, or windows that the model cannot take.
    """
    lm = load_model(str(config.base), "cpu")
    for path in (*config.batch.weights(config.train), config.val):
        _check_data(path, lm)
    compute = config.compute
    model = TrainableLm(lm, CausalLoss(lm.vocabulary, config.causal.loss)).to(ranks.device)
    model.requires_grad_(True)
    model.prepare(
        checkpointing=compute.gradient_checkpointing,
        compiled=compute.compile,
        attention=_ATTENTION[compute.attention],
    )
    loaders = [
        _loader(config, ranks, lm.vocabulary, is_training=each, whole_sequences=whole_sequences)
        for each in (True, False)
    ]
    check_splits(*loaders)
    return Parts(
        model=model,
        source=loaders[0],
        validation=loaders[1],
        objective=causal_objective(),
        record={
            "tokenizer": lm.vocabulary.to_dict(),
            "training_data": loaders[0].header.checksum,
        },
        companions=_companions(config.base),
    )


def _loader(
    config: LmPretrainConfig,
    ranks: Ranks,
    vocabulary: Vocabulary,
    *,
    is_training: bool,
    whole_sequences: bool,
) -> Loader:
    has_phase = is_training and config.causal.random_phase
    collator = CausalCollator(
        vocabulary,
        repeat_weight=config.causal.repeat_weight,
        seed=derive_seed(config.seed, "start phase") if has_phase else None,
        prompts=vocabulary.special_ids if whole_sequences else {},
        has_end=whole_sequences,
    )
    return Loader(
        config.train if is_training else config.val,
        config.batch.limits,
        seed=derive_seed(config.seed, "training order" if is_training else "validation"),
        rank=ranks.rank,
        world_size=ranks.world_size,
        num_workers=config.batch.num_workers,
        pin_memory=ranks.device.type == "cuda",
        collator=collator,
        **(mixing_of(config.batch, config.train) if is_training else Mixing()),
    )


def _check_data(path: Path, lm: LanguageModel) -> None:
    reader = PackedReader(path)
    ours = json.loads(json.dumps(lm.vocabulary.to_dict()))
    if reader.header.tokenizer != ours:
        raise DataError(
            "baked with another tokenizer", expected="the model's", path=path,
            remedy="Bake it again: genet5 lm bake OUT --base BASE",
        )  # fmt: skip
    longest = int(reader.row_sizes().longest_tokens.max(initial=0))
    room = lm.max_tokens - (lm.vocabulary.bos_id is not None)
    if longest > room:
        raise DataError(
            f"a window of {longest} tokens", expected=f"at most {room}, which the model takes",
            path=path, remedy="Bake it again with a smaller --window_bp",
        )  # fmt: skip


def _companions(base: Path) -> tuple[str, ...]:
    """Return the small files of a model's folder, which may be a run's or a checkpoint as well."""
    return tuple(name for name in _COMPANIONS if (base / name).is_file())
