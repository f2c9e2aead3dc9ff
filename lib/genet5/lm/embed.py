"""Embeddings of sequences, or of regions of a genome, streamed to parquet or npy.

Tokens are those of the sequence, after the model's beginning; pooling leaves out padding, and takes
the beginning in, as the scripts of GENERator and GENEB do. Memory holds some hundred sequences and
their vectors, however many there are; where a reduction is fitted, the vectors wait in a file.
A batch that does not fit into memory is halved, and later ones with it.
"""

from __future__ import annotations

import itertools
import json
import logging
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeAlias

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
from genet5.genome.io.files import open_text
from genet5.genome.sequence import Bases
from genet5.lm.covariates import read_covariates
from genet5.lm.folders import LanguageModel
from genet5.lm.reduction import Blocks, Covariates, Reduction, fit_reduction, load_reduction
from genet5.lm.reference import ReferenceGenome
from genet5.lm.regions import read_regions, region_bases
from genet5.lm.score import strands
from genet5.lm.tables import TableWriter
from genet5.lm.text import encode_bases, with_ends
from genet5.lm.vocabulary import Ids
from genet5.outputs import atomic_writer

log = logging.getLogger(__name__)

Vectors = NDArray[np.float32]
Rows: TypeAlias = Iterator[tuple[list[str], Vectors]]
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
    width, rows = int(lm.network.config.hidden_size), embeddings(lm, config)
    reduce = config.reduce
    if reduce.pca is None and reduce.covariates is None and reduce.apply is None:
        return write_vectors(config.output, rows, width)
    about = {"model": lm.name, "layer": config.layer, "pool": config.pool, "strand": config.strand}
    covariates = {} if reduce.covariates is None else read_covariates(reduce.covariates)
    if reduce.apply is not None:
        found = load_reduction(reduce.apply, about)
        return write_vectors(config.output, _reduced(found, rows, covariates), found.width)
    with _spooled(rows, width, config.output.parent) as blocks:
        found = fit_reduction(
            blocks,
            covariates=covariates,
            train_rows=None if reduce.train_rows is None else _lines(reduce.train_rows),
            components=reduce.pca,
            about=about,
        )
        found.save(reduce.reduction or default_reduction(config.output))
        return write_vectors(config.output, _reduced(found, blocks(), covariates), found.width)


def default_reduction(output: Path) -> Path:
    """Return where a reduction is stored unless another place is named."""
    return output.with_name(f"{output.name}.reduction.safetensors")


def embeddings(lm: LanguageModel, config: LmEmbedConfig) -> Iterator[tuple[list[str], Vectors]]:
    """Yield names and vectors, (sequences, D) float32, some sequences at a time."""
    sequences = _regions(config) if config.regions is not None else _sequences(config)
    budget = TokenBudget(config.compute.batch_tokens)
    while chunk := list(itertools.islice(sequences, _SEQUENCES_AT_ONCE)):
        names = [name for name, _ in chunk]
        ids = [
            _ids(lm, name, each, config)
            for name, bases in chunk
            for each in strands(bases, config.strand)
        ]
        vectors = _embedded(lm, ids, config, budget)
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


class TokenBudget:
    """Tokens of a batch, padding included; halved when memory runs out.

    Args:
        tokens: To begin with.
    """

    def __init__(self, tokens: int) -> None:
        self.tokens = tokens

    def halve(self, rows: int, error: BaseException) -> None:
        """Halve the budget; a single row that does not fit ends the run with its error."""
        if rows <= 1:
            raise error
        self.tokens = max(1, self.tokens // 2)
        log.info("out of memory: batches of %d tokens from here on", self.tokens)


@torch.no_grad()
def _embedded(
    lm: LanguageModel, ids: Sequence[Ids], config: LmEmbedConfig, budget: TokenBudget
) -> Vectors:
    order = sorted(range(len(ids)), key=lambda index: len(ids[index]))
    found = np.zeros((len(ids), lm.network.config.hidden_size), dtype=np.float32)
    begin = 0
    while begin < len(order):
        end = begin + 1
        while end < len(order) and len(ids[order[end]]) * (end + 1 - begin) <= budget.tokens:
            end += 1
        batch = order[begin:end]
        try:
            found[batch] = _batch(lm, [ids[index] for index in batch], config)
        except (torch.OutOfMemoryError, MemoryError) as error:
            budget.halve(len(batch), error)
            continue
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


def _reduced(found: Reduction, rows: Rows, covariates: Covariates) -> Rows:
    for names, vectors in rows:
        yield names, found.apply(names, vectors, covariates)


@contextmanager
def _spooled(rows: Rows, width: int, folder: Path) -> Iterator[Blocks]:
    """Put vectors into a temporary file beside the output, to be read more than once."""
    with tempfile.TemporaryDirectory(dir=folder, prefix=".embed.") as scratch:
        path, sizes = Path(scratch, "vectors"), []
        with path.open("wb") as out, Path(scratch, "names").open("w", encoding="utf-8") as texts:
            for names, vectors in rows:
                out.write(vectors.astype("<f4").tobytes())
                texts.write(json.dumps(names) + "\n")
                sizes.append(len(names))

        def blocks() -> Rows:
            with path.open("rb") as file, Path(scratch, "names").open(encoding="utf-8") as texts:
                for size, line in zip(sizes, texts, strict=True):
                    data = np.frombuffer(file.read(4 * size * width), dtype="<f4")
                    yield json.loads(line), data.reshape(size, width)

        yield blocks


def _lines(path: Path) -> list[str]:
    with open_text(path) as lines:
        return [line.strip() for line in lines if line.strip()]


def write_vectors(path: Path, rows: Rows, width: int) -> int:
    """Write names and vectors to .parquet, or to .npy beside a table of names; return the rows."""
    write = _write_parquet if path.suffix == ".parquet" else _write_npy
    return write(path, rows, width)


def _write_parquet(path: Path, rows: Rows, width: int) -> int:
    count = 0
    kind = pa.list_(pa.float32(), width)
    schema = pa.schema([("name", pa.string()), ("embedding", kind)])
    with ExitStack() as stack:
        raw = stack.enter_context(atomic_writer(path, binary=True))
        out = stack.enter_context(pq.ParquetWriter(raw, schema))
        for names, vectors in rows:
            values = pa.array(np.ascontiguousarray(vectors).reshape(-1), pa.float32())
            column = pa.FixedSizeListArray.from_arrays(values, width)
            out.write_table(pa.table([pa.array(names), column], schema=schema))
            count += len(names)
    return count


def _write_npy(path: Path, rows: Rows, width: int) -> int:
    """Write vectors after a header whose room is kept free until their number is known."""
    count = 0
    names_file = path.with_name(f"{path.name}.names.tsv")
    with (
        atomic_writer(path, binary=True) as out,
        TableWriter(names_file, {"name": str}) as table,
    ):
        out.write(_npy_header((10**15, width)))
        for names, vectors in rows:
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
