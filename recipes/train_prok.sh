#!/usr/bin/env bash
# Train `prok`, the model of bacteria and archaea: bake, init, train, store in half precision, calibrate.
# Days on two cores, and therefore in parts: a stopped run (Ctrl-C, SIGTERM, PARTS below) resumes exactly, and the
# same command resumes it. With a GPU, recipes/train_gpu.sh does the training step.
#   recipes/train_prok.sh WORK [DATA]      DATA: folder with splits.tsv and raw/ (default ../shared/data)
#   STEPS=60000 LR=1e-3 BATCH=2 ACCUM=1    optimizer steps, learning rate, packed rows (24 kb each) and their groups
#   MINUTES=600                            stop after so many minutes of training, all parts together (default: none)
#   LAST=train                             end after this step: bake, train or calibrate (default)
#   COMPILE=no                             do not compile the layers (where there is no C++ compiler)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
work=${1:?usage: recipes/train_prok.sh WORK [DATA]}
data=${2:-../shared/data}
python=${PYTHON:-python3}
last=${LAST:-calibrate}

# Starts of these genomes are not learnt: below 85 % agreement with pyrodigal (studies/screen_labels.py).
unsure=()
while IFS=$'\t' read -r genome split _ _ _ _ _ _ _ _ is_unsure; do
    [[ $split == train && $is_unsure == yes ]] && unsure+=("$genome")
done < studies/results/label_screen.tsv

if [[ ! -e $work/base/model.safetensors ]]; then
    "$python" bin/init "$work/base" --preset prok --seed 1
fi
if [[ ! -e $work/baked/bake_report.json ]]; then
    "$python" bin/bake --raw_dir "$data/raw" --clades prokaryotes --splits "$data/splits.tsv" --output_dir "$work/baked" \
        --tokenizer "$work/base" --window_size 6144 --target 4096 --hard_limit 4400 --passes "${PASSES:-4}" \
        --recode_share 0.06 --unsure_starts "${unsure[@]}" --short_gene_weight 2 --unusual_gene_weight 2 \
        --n_workers "${WORKERS:-1}" --seed 1 --resume
fi
[[ $last == bake ]] && exit

compile=(--compile)
[[ ${COMPILE:-yes} == no ]] && compile=()
minutes=()
[[ -n ${MINUTES:-} ]] && minutes=(--max_minutes "$MINUTES")
"$python" bin/finet "$work/baked/training.packed" "$work/baked/validation.packed" "$work/run" "$work/base" \
    --max_steps "${STEPS:-60000}" --lr "${LR:-1e-3}" --schedule wsd --warmup_ratio 0.01 --decay_ratio 0.2 \
    --batch_size "${BATCH:-2}" --grad_accum "${ACCUM:-1}" --weight_decay 0.02 --ema_decay 0.999 \
    --label_smoothing 0.02 --start_weight 0.5 "${compile[@]}" "${minutes[@]}" --num_workers "${LOADERS:-0}" \
    --export last --eval_steps 1500 --eval_batches 24 --eval_windows 16 --save_every "${SAVE_EVERY:-10}" --resume
[[ $last == train ]] && exit

"$python" - "$work" <<'PY'
import pathlib
import shutil
import sys

sys.path.insert(0, "lib")
import torch

from genet5.model.network import GeneT5

work = pathlib.Path(sys.argv[1])
GeneT5.from_pretrained(work / "run").save_pretrained(work / "prok", dtype=torch.float16)
shutil.copy(work / "run" / "tokenizer.json", work / "prok")
PY
genomes=() references=()
while IFS=$'\t' read -r clade genome _ split; do
    if [[ $clade == prokaryotes && $split == valid ]]; then
        genomes+=("$data/raw/$clade/$genome/genome.fa.gz")
        references+=("$data/raw/$clade/$genome/annotation.gff3.gz")
    fi
done < "$data/splits.tsv"
"$python" bin/calibrate "$work/prok" --genomes "${genomes[@]}" --references "${references[@]}" --work "$work/fit" \
    --window_bp 6144 --overlap_bp 3072 --max_bp 700000 --head_only yes
echo "the model is in $work/prok; compare it: benchmarks/accuracy/bench_peers.py --clades prokaryotes --model prokaryotes=$work/prok"
