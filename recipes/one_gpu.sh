#!/usr/bin/env bash
# Train `small` (63 M parameters) on all clades with one GPU, calibrate it, and score it on held-out genomes.
#
#   recipes/one_gpu.sh               DATA/raw/CLADE/SPECIES/ and DATA/splits.tsv must be there (bin/fetch, docs/how-to/fetch.md)
#   recipes/one_gpu.sh --dry_run     print the commands and stop
#
# Expected (arithmetic of docs/explanation/scaling.md, no run of that size was made): 1 Gbp takes minutes on one H200;
# 141 GB hold about 500 k tokens. On smaller GPUs lower TOKENS, or add --gradient_checkpointing. Baking: 1 to 2 Mbp a
# second on each core.
# DATA names the folder with raw/, baked/, model/ and logs/ (default: the one that holds this checkout), PYTHON the
# interpreter, WORKERS the processes that bake, TOKENS the padded tokens of a micro-batch. Started again, it resumes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

dry_run=''
case ${1:-} in
    --dry_run | --dry-run) dry_run=yes ;;
    ?*) echo "usage: recipes/one_gpu.sh [--dry_run]" >&2 && exit 2 ;;
esac
python=${PYTHON:-python3} data=${DATA:-$(dirname "$PWD")} workers=${WORKERS:-8} tokens=${TOKENS:-36400}
raw=$data/raw splits=$data/splits.tsv baked=$data/baked/genes
base=$data/model/small out=$data/model/small_001 logs=$data/logs/small_001

run() { # print a command, then run it
    printf '+ ' >&2 && printf '%q ' "$@" >&2 && echo >&2
    [ -n "$dry_run" ] || "$@"
}
[ -n "$dry_run" ] || mkdir -p "$baked" "$logs"
[ -r "$splits" ] ||
    { echo "recipes/one_gpu.sh: there is no $splits; see docs/reference/formats.md, Split tables" >&2 && exit 1; }

# Windows around genes, a tenth without; clades differ in window size (docs/reference/formats.md, Windows).
[ -e "$base/config.json" ] || run "$python" bin/init "$base" --preset small
[ -e "$baked/training.index.json" ] ||
    run "$python" bin/bake --raw_dir "$raw" --splits "$splits" --output_dir "$baked" --tokenizer "$base" \
        --windows gene_centric --negatives 0.1 --shard_size 10000 --n_workers "$workers" --seed 1 --skip_bad

run "$python" bin/finet "$baked/training.index.json" "$baked/validation.index.json" "$out" "$base" \
    --epochs 4 --lr 3e-4 --token_budget "$tokens" --compile --ema_decay 0.998 --memwatch --seed 1 --resume

# Calibration on the prokaryotes of the split `valid`; other clades: one call each, with a copy of the model.
genomes=() references=()
while IFS=$'\t' read -r clade genome _ split; do
    if [[ $clade == prokaryotes && $split == valid ]]; then
        genomes+=("$raw/$clade/$genome/genome.fa.gz")
        references+=("$raw/$clade/$genome/annotation.gff3.gz")
    fi
done <"$splits"
run "$python" bin/calibrate "$out" --genomes "${genomes[@]}" --references "${references[@]}" --work "$logs/calibration" --max_bp 700000

# Scores beside pyrodigal and Augustus, where they are installed, on the split `test`.
run "$python" benchmarks/accuracy/bench_peers.py --clades prokaryotes --model "prokaryotes=$out" --data "$data" \
    --work "$logs/peers" --out "$logs/peers.json"
echo "The model is in $out, the comparison in $logs." >&2
