#!/usr/bin/env bash
# Train `fungi`, the model of fungi: from the shipped model of bacteria, on fission yeast I and budding yeast; calibrate on
# fission yeast II, and compare with Augustus on III.
#
#   recipes/train_fungi.sh                DATA/raw/unicellular/GENOME/ and DATA/splits.tsv must be there
#   recipes/train_fungi.sh --dry_run      print the commands and stop
#
# 1,000 steps of 6 windows are 1 hour and 45 minutes of one core without AMX, and may be done in parts: SIGINT and SIGTERM
# save and end a run, and the same command resumes it exactly.
# By variables: DATA (default ../shared/data) and WORK (default runs/fungi), PYTHON the interpreter, BASE the model to start
# from, STEPS optimizer steps of BATCH packed rows (24 kb each), LR the highest learning rate, SAVE_EVERY minutes between
# checkpoints, COMPILE=yes where there is a C++ compiler and compiling pays, LAST the last stage: bake, train, calibrate or
# compare (default).
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

bake pombe "$pombe" 6
bake yeast "$yeast" 3
[ "$last" != bake ] || exit 0

compile=''
[ "${COMPILE:-no}" = no ] || compile=--compile
run "$python" bin/finet "$work/pombe/training.packed" "$work/pombe/validation.packed" "$work/run" "$base" \
    --mix "$work/yeast/training.packed=1" --max_steps "${STEPS:-1000}" --lr "${LR:-8e-4}" --schedule wsd --warmup_ratio 0.05 \
    --decay_ratio 0.4 --batch_size "${BATCH:-2}" --num_workers 0 --weight_decay 0.02 --ema_decay 0.995 --label_smoothing 0.02 \
    --start_weight 0.5 $compile --export last --eval_steps 250 --eval_batches 16 --save_every "${SAVE_EVERY:-10}" --seed 7 --resume
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
    --work "$work/fit" --window_bp 8190 --overlap_bp 4095 --max_bp 1500000
[ "$last" != calibrate ] || exit 0

run "$python" benchmarks/accuracy/bench_peers.py --genomes "$pombe" --model "$pombe=$work/fungi" --data "$data" \
    --work "$work/peers" --out "$work/fungi.json"
echo "The model is in $work/fungi, the comparison in $work/fungi.json and .md" >&2
