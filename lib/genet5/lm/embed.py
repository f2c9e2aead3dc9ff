"""Embeddings of sequences, or of regions of a genome, streamed to parquet or npy.

Tokens are those of the sequence, after the model's beginning; pooling leaves out padding, and takes
the beginning in, as the scripts of GENERator and GENEB do. Memory holds some hundred sequences and
their vectors, however many there are.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import ExitStack

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.lib import format as npy
from numpy.typing import NDArray
from torch import Tensor

from genet5.config.lm.embed import LmEmbedConfig
from genet5.errors import ConfigError, DataError
from genet5.genome.io.fasta import read_fasta
from genet5.genome.sequence import Bases
from genet5.lm.folders import LanguageModel
from genet5.lm.reference import ReferenceGenome
from genet5.lm.regions import read_regions, region_bases
from genet5.lm.score import strands
from genet5.lm.tables import TableWriter
from genet5.lm.text import encode_bases, with_ends
from genet5.lm.vocabulary import Ids
from genet5.outputs import atomic_writer

Vectors = NDArray[np.float32]
_SEQUENCES_AT_ONCE = 256


def embed(lm: LanguageModel, config: LmEmbedConfig) -> int:
    """Write the embedding of each sequence; return how many there are.

    Raises:
        ConfigError: The model has no such layer or separator.
        DataError: A sequence is too long or has what a policy refuses; it is named.
    """
    layers = int(lm.network.config.num_hidden_layers)
    if config.layer is not None and config.layer > layers:
        raise ConfigError("layer", config.layer, f"must be at most {layers}, the model's layers")
    write = _write_parquet if config.output.suffix == ".parquet" else _write_npy
    return write(lm, config)


def embeddings(lm: LanguageModel, config: LmEmbedConfig) -> Iterator[tuple[list[str], Vectors]]:
    """Yield names and vectors, (sequences, D) float32, some sequences at a time."""
    sequences = _regions(config) if config.regions is not None else _sequences(config)
    while chunk := list(itertools.islice(sequences, _SEQUENCES_AT_ONCE)):
        names = [name for name, _ in chunk]
        ids = [
            _ids(lm, name, each, config)
            for name, bases in chunk
            for each in strands(bases, config.strand)
        ]
        vectors = _embedded(lm, ids, config)
        yield names, vectors.reshape(len(chunk), -1, vectors.shape[-1]).mean(axis=1)


def pooled(states_BSD: Tensor, lengths: Tensor, pool: str) -> Tensor:
    """Return one vector of each row, (B, D) fp32, from its first `lengths` states."""
    states = states_BSD.float()
    if pool in ("last", "separator"):
        return states[torch.arange(len(states), device=states.device), lengths - 1]
    is_real = torch.arange(states.shape[1], device=states.device) < lengths[:, None]
    if pool == "max":
        return states.masked_fill(~is_real[..., None], -torch.inf).amax(1)
    return (states * is_real[..., None]).sum(1) / lengths[:, None]


@torch.no_grad()
def _embedded(lm: LanguageModel, ids: Sequence[Ids], config: LmEmbedConfig) -> Vectors:
    order = sorted(range(len(ids)), key=lambda index: len(ids[index]))
    found = np.zeros((len(ids), lm.network.config.hidden_size), dtype=np.float32)
    begin = 0
    while begin < len(order):
        end = begin + 1
        while end < len(order) and len(ids[order[end]]) * (end + 1 - begin) <= (
            config.compute.batch_tokens
        ):
            end += 1
        batch = order[begin:end]
        found[batch] = _batch(lm, [ids[index] for index in batch], config)
        begin = end
    return found


def _batch(lm: LanguageModel, ids: Sequence[Ids], config: LmEmbedConfig) -> Vectors:
    lengths = torch.tensor([len(each) for each in ids])
    padded = torch.full((len(ids), int(lengths.max())), lm.vocabulary.pad_id)
    for index, each in enumerate(ids):
        padded[index, : len(each)] = torch.from_numpy(each.astype(np.int64))
    how = {"use_cache": False, "output_hidden_states": config.layer is not None}
    out = lm.network.base_model(padded.to(lm.device), **how)
    states = out.last_hidden_state if config.layer is None else out.hidden_states[config.layer]
    vectors: Vectors = pooled(states, lengths.to(lm.device), config.pool).cpu().numpy()
    return vectors


def _ids(lm: LanguageModel, name: str, bases: Bases, config: LmEmbedConfig) -> Ids:
    vocabulary = lm.vocabulary
    try:
        ids = encode_bases(vocabulary, bases, length=config.length, ambiguous=config.ambiguous)
    except DataError as error:
        raise _named(name, error) from error
    has_bos, has_separator = vocabulary.bos_id is not None, config.pool == "separator"
    if has_separator and not has_bos:
        raise ConfigError("pool", "separator", "needs a model with a token of the beginning")
    room = lm.max_tokens - has_bos - has_separator
    if len(ids) > room and not config.truncate:
        raise DataError(
            f"{name}: {len(ids)} tokens", expected=f"at most {room}, which the model takes",
            remedy="--truncate cuts them",
        )  # fmt: skip
    ids = ids[:room]
    if not len(ids) and not has_bos:
        raise DataError(f"{name}: no token", expected="at least one")
    ids = with_ends(vocabulary, ids, bos=has_bos)
    return np.append(ids, np.int32(vocabulary.bos_id or 0)) if has_separator else ids


def _named(name: str, error: DataError) -> DataError:
    return DataError(f"{name}: {error.found}", expected=error.expected, remedy=error.remedy)


# ---- sequences -----------------------------------------------------------------------------------


def _sequences(config: LmEmbedConfig) -> Iterator[tuple[str, Bases]]:
    for contig in read_fasta(config.fasta):
        yield contig.name, contig.bases


def _regions(config: LmEmbedConfig) -> Iterator[tuple[str, Bases]]:
    """Yield regions in their file's order, on their strand."""
    path = config.regions
    assert path is not None
    with ReferenceGenome(config.fasta) as genome:
        for region in read_regions(path):
            yield region.name, region_bases(genome, region, path)


# ---- output --------------------------------------------------------------------------------------


def _write_parquet(lm: LanguageModel, config: LmEmbedConfig) -> int:
    width, count = int(lm.network.config.hidden_size), 0
    kind = pa.list_(pa.float32(), width)
    schema = pa.schema([("name", pa.string()), ("embedding", kind)])
    with ExitStack() as stack:
        raw = stack.enter_context(atomic_writer(config.output, binary=True))
        out = stack.enter_context(pq.ParquetWriter(raw, schema))
        for names, vectors in embeddings(lm, config):
            values = pa.array(np.ascontiguousarray(vectors).reshape(-1), pa.float32())
            column = pa.FixedSizeListArray.from_arrays(values, width)
            out.write_table(pa.table([pa.array(names), column], schema=schema))
            count += len(names)
    return count


def _write_npy(lm: LanguageModel, config: LmEmbedConfig) -> int:
    """Write vectors behind a header whose room is kept free until their number is known."""
    width, count = int(lm.network.config.hidden_size), 0
    names_file = config.output.with_name(f"{config.output.name}.names.tsv")
    with (
        atomic_writer(config.output, binary=True) as out,
        TableWriter(names_file, {"name": str}) as table,
    ):
        out.write(_npy_header((10**15, width)))
        for names, vectors in embeddings(lm, config):
            out.write(vectors.astype("<f4").tobytes())
            for name in names:
                table.write({"name": name})
            count += len(names)
        out.seek(0)
        header = _npy_header((count, width))
        out.write(header)
    return count


def _npy_header(shape: tuple[int, int]) -> bytes:
    """Return the header of format 1.0 in a fixed size, as `numpy.load` reads it."""
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}"
    size = 128 - len(npy.MAGIC_PREFIX) - 4
    body = text.ljust(size - 1).encode("latin-1") + b"\n"
    return npy.magic(1, 0) + len(body).to_bytes(2, "little") + body
