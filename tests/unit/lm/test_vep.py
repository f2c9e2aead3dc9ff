"""Variant effects: both recipes against known tables, and every trap of a VCF."""

from __future__ import annotations

import gzip
import json
import math
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from genet5.cli import main
from genet5.config.lm.score import LikelihoodConfig
from genet5.errors import DataError
from genet5.genome.sequence import checked_bases, decode_bases, reverse_complement
from genet5.lm.folders import LanguageModel
from genet5.lm.likelihood import combine, likelihood_rows, log_probabilities
from genet5.lm.ranking import ranking_metrics
from genet5.lm.variants import read_variants
from lm_toys import random_dna, tiny_lm

GENOME = random_dna(90, seed=2)
HEADER = "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
OTHER = {"A": "C", "C": "G", "G": "T", "T": "A"}


@pytest.fixture(scope="module")
def lm() -> LanguageModel:
    return tiny_lm("generator")


@pytest.fixture(scope="module")
def folder(lm: LanguageModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("vep")
    lm.save(path / "model")
    (path / "genome.fa").write_text(f">chr1\n{GENOME[:60]}\n{GENOME[60:]}\n>chrM\nACGTACGTAC\n")
    return path


def vep(folder: Path, vcf: str, *words: str, name: str = "in.vcf", out: str = "out.tsv") -> int:
    path = folder / name
    path.write_text(vcf)
    where = [str(folder / "model"), str(folder / "genome.fa"), str(path)]
    return main(["lm", "vep", *where, "-o", str(folder / out), *words])


def rows_of(folder: Path, out: str = "out.tsv") -> list[dict[str, str]]:
    header, *rows = [line.split("\t") for line in (folder / out).read_text().splitlines()]
    return [dict(zip(header, row, strict=True)) for row in rows]


def line(pos: int, ref: str = "", alt: str = "", chrom: str = "chr1", info: str = ".") -> str:
    ref = ref or GENOME[pos - 1]
    return f"{chrom}\t{pos}\t.\t{ref}\t{alt or OTHER[ref[0]]}\t.\t.\t{info}\n"


def likelihood(lm: LanguageModel, text: str) -> float:
    how = ("oov", LikelihoodConfig(), lm.max_tokens)
    rows = likelihood_rows(lm.vocabulary, checked_bases(text), *how)
    return combine(rows, log_probabilities(lm, rows, batch_tokens=1000))[0]


def next_bases(lm: LanguageModel, context: str) -> dict[str, float]:
    """The probability of each next base, token by token."""
    context = context[len(context) % 2 :]
    ids = [1, *lm.vocabulary.encode(checked_bases(context)).tolist()]
    p = lm.network(torch.tensor([ids])).logits[0, -1].double().softmax(-1)
    found = dict.fromkeys("ACGT", 0.0)
    for number in range(5, 21):
        found[lm.vocabulary.decode([number])[0]] += float(p[number])
    return found


def test_next_token_sums_the_probabilities_of_tokens_by_their_first_base(
    lm: LanguageModel, folder: Path
) -> None:
    assert vep(folder, HEADER + line(32), "--recipe", "next_token", "--context_bp", "20") == 0
    (row,) = rows_of(folder)
    p = next_bases(lm, GENOME[11:31])
    ref, alt = GENOME[31], OTHER[GENOME[31]]
    assert float(row["p_ref"]) == pytest.approx(p[ref], abs=1e-6)
    assert float(row["p_alt"]) == pytest.approx(p[alt], abs=1e-6)
    assert float(row["score"]) == pytest.approx(math.log(p[ref] / (p[alt] + 1e-10)), abs=1e-4)


def test_next_token_on_the_reverse_strand_reads_what_lies_after(
    lm: LanguageModel, folder: Path
) -> None:
    words = ("--recipe", "next_token", "--context_bp", "20", "--strand")
    assert vep(folder, HEADER + line(32), *words, "reverse") == 0
    (row,) = rows_of(folder)
    context = decode_bases(reverse_complement(checked_bases(GENOME[32:52])))
    p, mirror = next_bases(lm, context), dict(zip("ACGT", "TGCA", strict=True))
    assert float(row["p_ref"]) == pytest.approx(p[mirror[GENOME[31]]], abs=1e-6)
    reverse = float(row["score"])
    vep(folder, HEADER + line(32), *words, "forward")
    forward = float(rows_of(folder)[0]["score"])
    vep(folder, HEADER + line(32), *words, "both")
    assert float(rows_of(folder)[0]["score"]) == pytest.approx((forward + reverse) / 2, abs=1e-6)


@pytest.mark.parametrize(("ref", "alt"), [("", ""), ("", "insert"), ("deletion", "")])
def test_window_is_the_difference_of_whole_windows(
    lm: LanguageModel, folder: Path, ref: str, alt: str
) -> None:
    pos = 41
    ref = GENOME[pos - 1 : pos + 2] if ref else GENOME[pos - 1]
    alt = ref[0] + "GATTA" if alt else (ref[0] if len(ref) > 1 else OTHER[ref])
    assert vep(folder, HEADER + line(pos, ref, alt), "--context_bp", "30") == 0
    (row,) = rows_of(folder)
    inner = max(len(ref), len(alt))
    before = (30 - inner) // 2
    left = GENOME[pos - 1 - before : pos - 1]
    end = pos - 1 + len(ref)
    right = GENOME[end : end + 30 - inner - before]
    log_ref, log_alt = likelihood(lm, left + ref + right), likelihood(lm, left + alt + right)
    assert float(row["log_likelihood_ref"]) == pytest.approx(log_ref, abs=2e-5)
    assert float(row["score"]) == pytest.approx(log_ref - log_alt, abs=4e-5)


def test_a_vcf_keeps_its_lines_and_gets_scores_by_allele(folder: Path) -> None:
    ref = GENOME[20]
    text = HEADER + line(21, ref, f"{OTHER[ref]},*", info="DP=3") + line(60, alt="<DEL>")
    assert vep(folder, text, "--context_bp", "10", out="out.vcf.gz") == 0
    lines = gzip.decompress((folder / "out.vcf.gz").read_bytes()).decode().splitlines()
    assert lines[0] == "##fileformat=VCFv4.2"
    assert lines[1].startswith("##INFO=<ID=LM_SCORE,Number=A,Type=Float")
    info = dict(item.split("=") for item in lines[-2].split("\t")[7].split(";"))
    assert info["DP"] == "3"
    assert info["LM_SCORE"].endswith(",.")
    assert math.isfinite(float(info["LM_SCORE"].split(",")[0]))
    assert lines[-1] == line(60, alt="<DEL>").strip()


def test_every_allele_is_scored_or_skipped_by_a_named_cause(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    good, ref = GENOME[29], GENOME[39]
    text = HEADER + "".join(
        [
            line(80),
            line(30, good, f"{OTHER[good]},.,*,<INS>,{good},R"),  # unsorted, many alleles
            line(40, OTHER[ref], ref),  # REF and ALT swapped
            line(1, "A", "C", chrom="chrUn"),
            line(3, "G", "A", chrom="MT"),  # chrM
            line(50, chrom="1"),  # chr1
        ]
    )
    assert vep(folder, text, "--context_bp", "10", "--most_mismatches", "0.3") == 0
    rows = rows_of(folder)
    scored = [row for row in rows if row["score"]]
    assert [(row["chrom"], row["pos"]) for row in scored] == [
        ("chr1", "80"), ("chr1", "30"), ("MT", "3"), ("1", "50"),
    ]  # fmt: skip
    assert len(rows) == 11
    causes = {record.message.split(": ")[1].split(" (")[0] for record in caplog.records
              if record.message.startswith("skipped 1 ")}  # fmt: skip
    assert causes == {
        "no alternative allele", "spanning deletion", "symbolic allele or breakend",
        "allele with letters other than A, C, G, T", "alternative equal to REF",
        "REF differs from the genome", "contig not in the genome",
    }  # fmt: skip


def test_next_token_skips_and_counts_what_is_not_a_single_base(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    text = HEADER + line(30) + line(40, GENOME[39:42], GENOME[39])
    assert vep(folder, text, "--recipe", "next_token") == 0
    assert [bool(row["score"]) for row in rows_of(folder)] == [True, False]
    assert "skipped 1 alleles: not a single base (first: line 4, chr1:40" in caplog.text


def test_another_assembly_ends_the_run_and_leaves_no_file(folder: Path, capsys) -> None:
    text = HEADER + "".join(line(p, OTHER[GENOME[p - 1]], GENOME[p - 1]) for p in range(10, 40))
    assert vep(folder, text, "--context_bp", "6", out="wrong.tsv") == 1
    message = capsys.readouterr().err
    assert "30 of 30 alleles have a REF that is not in the genome" in message
    assert "Is it the right assembly?" in message
    assert not (folder / "wrong.tsv").exists()


def test_a_genome_without_any_of_the_contigs_is_refused(folder: Path, capsys) -> None:
    assert vep(folder, HEADER + line(5, "A", "C", chrom="7"), out="x.tsv") == 1
    assert "no contig of the variants is in the genome" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("chr1\t5\n", "no #CHROM line"),
        (HEADER + "chr1\t5\t.\tA\n", "in.vcf:3: 4 columns"),
        (HEADER + line(1, "A", "C").replace("\t1\t", "\t0\t"), "in.vcf:3: position '0'"),
    ],
)
def test_a_bad_vcf_is_named_by_line(folder: Path, capsys, text: str, message: str) -> None:
    assert vep(folder, text) == 1
    assert message in capsys.readouterr().err


@pytest.mark.slow
def test_labels_may_be_words_and_others_are_not_counted(folder: Path) -> None:
    words = ["Pathogenic", "Benign", "Likely_benign", "Uncertain", "Likely_pathogenic", "benign"]
    text = HEADER + "".join(line(20 + 5 * n, info=f"CLNSIG={word}") for n, word in enumerate(words))
    metrics = folder / "metrics.json"
    how = ("--label", "CLNSIG", "--metrics", str(metrics), "--context_bp", "10")
    assert vep(folder, text, *how) == 0
    found = json.loads(metrics.read_text())
    assert (found["positives"], found["negatives"], found["other_labels"]) == (2, 3, 1)
    rows = [row for row in rows_of(folder) if row["CLNSIG"] != "Uncertain"]
    truth = ["athogenic" in row["CLNSIG"] for row in rows]
    expected = ranking_metrics(truth, [float(row["score"]) for row in rows])
    assert found["auroc"] == pytest.approx(expected["auroc"])


def test_a_table_with_labels_reads_and_writes_parquet(folder: Path) -> None:
    text = "chrom,pos,ref,alt,label\n" + "".join(
        f"1,{p},{GENOME[p - 1]},{OTHER[GENOME[p - 1]]},{p % 2}\n" for p in (30, 41, 50)
    )
    assert vep(folder, text, "--label", "label", name="in.csv", out="out.parquet") == 0
    table = pq.read_table(folder / "out.parquet").to_pydict()
    assert table["pos"] == [30, 41, 50]
    assert table["label"] == ["0", "1", "0"]
    assert all(math.isfinite(score) for score in table["score"])


def test_area_by_trapezoid_is_not_average_precision() -> None:
    found = ranking_metrics([True, False, True, False, False], [0.9, 0.8, 0.7, 0.6, 0.5])
    assert found["auroc"] == pytest.approx(5 / 6)
    assert found["average_precision"] == pytest.approx((1 + 2 / 3) / 2)
    # recall 0 to 1/2 at precision 1; from (1/2, 1/2) to (1, 2/3) by the trapezoid
    assert found["auprc"] == pytest.approx(0.5 + 0.5 * (0.5 + 2 / 3) / 2)


def test_equal_windows_are_read_once(
    lm: LanguageModel, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []

    def counted(*words, **how):
        seen.append(len(words[1]))
        return log_probabilities(*words, **how)

    monkeypatch.setattr("genet5.lm.score.log_probabilities", counted)
    alts = ",".join(base for base in "ACGT" if base != GENOME[40])
    assert vep(folder, HEADER + line(41, GENOME[40], alts), "--context_bp", "12") == 0
    assert seen == [4]  # REF and three alternatives


def test_scores_do_not_depend_on_the_batch(folder: Path) -> None:
    text = HEADER + "".join(line(p) for p in (15, 33, 62, 78))
    found = []
    for budget in ("1", "100000"):
        assert vep(folder, text, "--batch_tokens", budget, "--context_bp", "24") == 0
        found.append([float(row["score"]) for row in rows_of(folder)])
    np.testing.assert_allclose(*found, atol=4e-5)


@pytest.mark.parametrize("position", ["9" * 5000, "0", "²"])
def test_a_position_that_is_no_number_of_a_base_is_named(tmp_path: Path, position: str) -> None:
    path = tmp_path / "v.vcf"
    columns = "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO"
    path.write_text(f"{columns}\nc\t{position}\t.\tA\tC\t.\t.\t.\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"v.vcf:2: position '.*expected a number from 1 on"):
        list(read_variants(path))
