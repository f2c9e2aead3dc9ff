#!/usr/bin/env bash
# Train `fungi`, the model of fungi: from the shipped model of bacteria, on fission yeast I and budding yeast; calibrate on
# fission yeast II, and compare with Augustus on III.
#
#   recipes/train_fungi.sh                DATA/raw/unicellular/GENOME/ and DATA/splits.tsv must be there
#   recipes/train_fungi.sh --dry_run      print the commands and stop
#
# Training has three stages, each with warm-up, a constant rate and decay: 1,000 steps of AdamW on both yeasts alike, 950 of
# Muon with a seventh of budding yeast, 800 of Muon with a thirteenth. They are five hours of one core without AMX, and may
# be done in parts: SIGINT and SIGTERM save and end a run, and the same command resumes it exactly.
# By variables: DATA (default ../shared/data) and WORK (default runs/fungi), PYTHON the interpreter, BASE the model to start
# from, SAVE_EVERY minutes between checkpoints, LAST the last part: bake, train, calibrate or compare (default).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

dry_run=''
case ${1:-} in
    --dry_run | --dry-run) dry_run=yes ;;
    ?*) echo "usage: recipes/train_fungi.sh [--dry_run]" >&2 && exit 2 ;;
esac
python=${PYTHON:-python3} data=${DATA:-../shared/data} work=${WORK:-runs/fungi} last=${LAST:-compare}
base=${BASE:-lib/genet5/models/nano}
[ -r "$data/splits.tsv" ] || { echo "recipes/train_fungi.sh: there is no $data/splits.tsv; name its folder with DATA" >&2 && exit 1; }
pombe=Schizosaccharomyces_pombe_ASM294v2
yeast=Saccharomyces_cerevisiae_R64-1-1

run() { # print a command, then run it
    printf '+ ' >&2 && printf '%q ' "$@" >&2 && echo >&2
    [ -n "$dry_run" ] || "$@"
}

bake() { # NAME SPECIES PASSES
    [ -e "$work/$1/bake_report.json" ] ||
        run "$python" bin/bake --raw_dir "$data/raw" --clades unicellular --species "$2" --splits "$data/splits.tsv" \
            --output_dir "$work/$1" --tokenizer "$base" --window_size 8190 --target 4110 --hard_limit 4500 --passes "$3" \
            --seed 1 --resume
}

bake pombe "$pombe" 14
bake yeast "$yeast" 3
[ "$last" != bake ] || exit 0

train() { # NAME BASE STEPS WEIGHT_OF_BUDDING_YEAST FLAG...
    local out=$work/$1 from=$2 steps=$3 weight=$4
    shift 4
    run "$python" bin/finet "$work/pombe/training.packed" "$work/pombe/validation.packed" "$out" "$from" \
        --mix "$work/yeast/training.packed=$weight" --max_steps "$steps" --batch_size 2 --schedule wsd --ema_decay 0.995 \
        --label_smoothing 0.02 --start_weight 0.5 --export last --eval_steps 200 --eval_batches 16 --num_workers 0 \
        --save_every "${SAVE_EVERY:-10}" --resume "$@"
}

train first "$base" 1000 1 --lr 8e-4 --warmup_ratio 0.05 --decay_ratio 0.4 --weight_decay 0.02 --seed 7
train second "$work/first" 950 0.5 --optimizer muon --lr 1.5e-3 --warmup_ratio 0.03 --decay_ratio 0.35 --weight_decay 0.05 --seed 7
train run "$work/second" 800 0.25 --optimizer muon --lr 2e-3 --warmup_ratio 0.02 --decay_ratio 0.4 --weight_decay 0.05 --seed 8
[ "$last" != train ] || exit 0

[ -n "$dry_run" ] || "$python" - "$work/run" "$work/fungi" <<'PY'
import pathlib
import shutil
import sys

sys.path.insert(0, "lib")
import torch

from genet5.model.network import GeneT5

trained, out = map(pathlib.Path, sys.argv[1:])
GeneT5.from_pretrained(trained).save_pretrained(out, dtype=torch.float16)
shutil.copy(trained / "tokenizer.json", out)
PY
folder=$data/raw/unicellular/$pombe
run "$python" bin/calibrate "$work/fungi" --genomes "$folder/genome.fa.gz" --references "$folder/annotation.gff3.gz" --contigs II \
    --work "$work/fit" --window_bp 8190 --overlap_bp 4095 --max_bp 2000000
[ "$last" != calibrate ] || exit 0

run "$python" benchmarks/accuracy/bench_peers.py --genomes "$pombe" --model "$pombe=$work/fungi" --data "$data" \
    --work "$work/peers" --out "$work/fungi.json"
echo "The model is in $work/fungi, the comparison in $work/fungi.json and .md" >&2
