#!/usr/bin/env bash
# Train `prok`, the model of bacteria and archaea: bake, init, train, store in half precision, calibrate.
#
#   recipes/train_prok.sh                DATA/raw/prokaryotes/GENOME/ and DATA/splits.tsv must be there
#   recipes/train_prok.sh --dry_run      print the commands and stop
#
# A day of one core without AMX (24,000 steps of 3.7 s), and therefore in parts: SIGINT and SIGTERM save and end a run, and
# the same command resumes it exactly. Where there is a GPU for ten minutes, recipes/train_gpu.sh trains; its model in WORK/gpu is
# then the one that this recipe calibrates.
# By variables: DATA (default ../shared/data) and WORK (default runs/prok), PYTHON the interpreter, WORKERS the processes
# that bake, PASSES the tilings; STEPS optimizer steps of BATCH packed rows (24 kb each), LR the highest learning rate,
# SAVE_EVERY minutes between checkpoints, MINUTES the most minutes of training in all parts together, COMPILE=no where there
# is no C++ compiler; LAST the last stage: bake, train or calibrate (default).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

dry_run=''
case ${1:-} in
    --dry_run | --dry-run) dry_run=yes ;;
    ?*) echo "usage: recipes/train_prok.sh [--dry_run]" >&2 && exit 2 ;;
esac
python=${PYTHON:-python3} data=${DATA:-../shared/data} work=${WORK:-runs/prok} last=${LAST:-calibrate}
[ -r "$data/splits.tsv" ] || { echo "recipes/train_prok.sh: there is no $data/splits.tsv; name its folder with DATA" >&2 && exit 1; }

run() { # print a command, then run it
    printf '+ ' >&2 && printf '%q ' "$@" >&2 && echo >&2
    [ -n "$dry_run" ] || "$@"
}

# Starts of these genomes are not learnt: below 85 % agreement with pyrodigal (studies/screen_labels.py).
mapfile -t unsure < <(awk -F'\t' '$2 == "train" && $11 == "yes" {print $1}' studies/results/label_screen.tsv)
known=()
for genome in "${unsure[@]}"; do
    [ ! -d "$data/raw/prokaryotes/$genome" ] || known+=("$genome")
done

[ -e "$work/base/model.safetensors" ] || run "$python" bin/init "$work/base" --preset prok --seed 1
[ -e "$work/baked/bake_report.json" ] ||
    run "$python" bin/bake --raw_dir "$data/raw" --clades prokaryotes --splits "$data/splits.tsv" --output_dir "$work/baked" \
        --tokenizer "$work/base" --window_size 6144 --target 4096 --hard_limit 4400 --passes "${PASSES:-4}" \
        --recode_share 0.06 ${known[@]:+--unsure_starts "${known[@]}"} --short_gene_weight 2 --unusual_gene_weight 2 \
        --n_workers "${WORKERS:-1}" --seed 1 --resume
[ "$last" != bake ] || exit 0

compile=--compile
[ "${COMPILE:-yes}" = yes ] || compile=''
[ -e "$work/gpu/model.safetensors" ] || run "$python" bin/finet "$work/baked/training.packed" "$work/baked/validation.packed" "$work/run" "$work/base" \
    --max_steps "${STEPS:-24000}" --lr "${LR:-1e-3}" --schedule wsd --warmup_ratio 0.01 --decay_ratio 0.2 \
    --batch_size "${BATCH:-2}" --num_workers 0 --weight_decay 0.02 --ema_decay 0.999 --label_smoothing 0.02 \
    --start_weight 0.5 $compile ${MINUTES:+--max_minutes "$MINUTES"} --export last --eval_steps 1500 --eval_batches 24 \
    --save_every "${SAVE_EVERY:-10}" --resume
[ "$last" != train ] || exit 0

trained=$work/run
[ ! -e "$work/gpu/model.safetensors" ] || trained=$work/gpu
[ -n "$dry_run" ] || "$python" - "$trained" "$work/prok" <<'PY'
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
genomes=() references=()
while IFS=$'\t' read -r clade genome _ split; do
    if [[ $clade == prokaryotes && $split == valid ]]; then
        genomes+=("$data/raw/$clade/$genome/genome.fa.gz")
        references+=("$data/raw/$clade/$genome/annotation.gff3.gz")
    fi
done <"$data/splits.tsv"
run "$python" bin/calibrate "$work/prok" --genomes "${genomes[@]}" --references "${references[@]}" --work "$work/fit" \
    --window_bp 6144 --overlap_bp 3072 --max_bp 700000 --head_only yes
echo "The model is in $work/prok; compare it: benchmarks/accuracy/bench_peers.py --clades prokaryotes --model prokaryotes=$work/prok" >&2
