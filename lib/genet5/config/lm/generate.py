"""Configuration of `genet5 lm generate` and `genet5 lm recover`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro

from genet5.config.checks import by_default, require
from genet5.config.lm.compute import LmComputeConfig

DecodeName = Literal["token", "base"]


@dataclass(frozen=True, kw_only=True, slots=True)
class SamplingConfig:
    """How the next token is chosen; special tokens never are."""

    decode: DecodeName = "token"
    """token takes whole tokens; base takes each base of a k-mer by its marginal probability."""
    temperature: float = 1.0
    """Divides the logits; 0 takes the most probable token or base."""
    top_k: Annotated[int | None, by_default("all")] = None
    """Sample among this many most probable tokens."""
    top_p: float = 1.0
    """Sample among the most probable tokens that together have this probability."""
    repetition_penalty: float = 1.0
    """Above 1 makes tokens less probable that the prompt or the sequence has already."""

    def __post_init__(self) -> None:
        require(self.temperature >= 0, "temperature", self.temperature, "must not be negative")
        require(self.top_k is None or self.top_k >= 1, "top_k", self.top_k, "must be at least 1")
        require(0 < self.top_p <= 1, "top_p", self.top_p, "must be above 0 and at most 1")
        require(
            self.repetition_penalty > 0,
            "repetition_penalty",
            self.repetition_penalty,
            "must be above 0",
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class GenerateReportConfig:
    """What is written about the sequences, and what they are compared with."""

    report: Annotated[Path | None, by_default("none")] = None
    """Write a page on the sequences to this file (.html): lengths, reading frame, stops, GC, codon
    usage, k-mers, nearest training sequence."""
    summary: Annotated[Path | None, by_default("none")] = None
    """Write the same figures to this JSON file."""
    natural: Annotated[Path | None, by_default("none")] = None
    """FASTA of natural coding sequences, in frame, whose codon usage and k-mers are compared."""
    training: Annotated[Path | None, by_default("none")] = None
    """FASTA of training sequences, of which the nearest one is looked for on both strands."""
    predictor: Annotated[str | None, by_default("none")] = None
    """Regressor of lm finetune (OUT/best_model) whose first value is predicted for each
    sequence."""
    genetic_code: int = 1
    """NCBI number of the genetic code."""

    def __post_init__(self) -> None:
        is_wanted = self.report is not None or self.summary is not None
        for name in ("natural", "training", "predictor"):
            value = getattr(self, name)
            require(
                value is None or is_wanted,
                name,
                value and str(value),
                "needs --report or --summary",
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class LmGenerateConfig:
    """What to generate."""

    model: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="MODEL")]
    """Folder of a language model, or its name on the hub."""
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="FILE")] = Path("-")
    """FASTA file to write; - is standard output."""
    prompt: str = ""
    """DNA to continue, with tags of the model's such as <high>; the model's own beginning is put
    in front."""
    prompt_tokens: Annotated[
        tuple[str, ...], tyro.conf.arg(metavar="TOKEN ..."), by_default("none")
    ] = ()
    """Tokens of the model that are put before each prompt, such as <high> (see lm tune)."""
    prompts: Annotated[Path | None, by_default("--prompt alone")] = None
    """FASTA file of prompts, each of which is continued."""
    number: int = 1
    """Sequences for each prompt."""
    length_bp: int = 600
    """Bases to generate after the prompt."""
    until_end: bool = False
    """Stop a sequence where the model puts its token of the end, before --length_bp; models that lm
    tune has trained on whole sequences know where that is."""
    length: Literal["error", "pad_left", "trim_left"] = "trim_left"
    """A prompt whose length is no multiple of k: refuse it, put A in front, or cut its front."""
    with_prompt: bool = False
    """Write the prompt in front of what was generated."""
    seed: int = 0
    """Seed of the sampling."""
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    about: GenerateReportConfig = field(default_factory=GenerateReportConfig)
    compute: LmComputeConfig = field(default_factory=LmComputeConfig)

    def __post_init__(self) -> None:
        for name in ("number", "length_bp"):
            require(getattr(self, name) >= 1, name, getattr(self, name), "must be at least 1")
        require(
            not (self.prompt and self.prompts),
            "prompt",
            self.prompt,
            "cannot be combined with --prompts",
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class LmRecoverConfig:
    """Which continuations to recover."""

    model: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="MODEL")]
    """Folder of a language model, or its name on the hub."""
    data: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DATA")]
    """A table (.parquet, .tsv, .csv) with the columns sequence, label (the true continuation) and
    perhaps type; or a genome as FASTA, of which places are drawn at random (type: the contig)."""
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="FILE")] = Path("-")
    """Table of predictions to write: .tsv, .csv or .parquet; - is standard output."""
    context_bp: Annotated[tuple[int, ...], tyro.conf.arg(metavar="BP ...")] = (6144,)
    """Bases before the continuation that the model reads, one or more lengths to compare."""
    length_bp: int = 30
    """Bases to recover."""
    number: int = 1000
    """Places to draw from a genome."""
    decode: DecodeName = "token"
    """Take the most probable token, or each base by its marginal probability."""
    seed: int = 0
    """Seed of the places."""
    summary: Annotated[Path | None, by_default("none")] = None
    """Write accuracies by context length and type to this JSON file."""
    plot: Annotated[Path | None, by_default("none")] = None
    """Draw them to this file (.svg, .png, .pdf)."""
    compute: LmComputeConfig = field(default_factory=LmComputeConfig)

    def __post_init__(self) -> None:
        for name in ("length_bp", "number"):
            require(getattr(self, name) >= 1, name, getattr(self, name), "must be at least 1")
        require(
            bool(self.context_bp) and min(self.context_bp) >= 1,
            "context_bp",
            self.context_bp,
            "must be at least 1",
        )
