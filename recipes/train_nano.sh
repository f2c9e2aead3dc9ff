#!/usr/bin/env bash
# Train the shipped model from nothing: bake, init, train, store in half precision, calibrate.
# About 90 minutes on two cores. The weights that are shipped came in two stages of this recipe (see the model card).
#   recipes/train_nano.sh WORK [DATA]      DATA: folder with splits.tsv and raw/ (default ../shared/data)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
work=${1:?usage: recipes/train_nano.sh WORK [DATA]}
data=${2:-../shared/data}
python=${PYTHON:-python3}

"$python" bin/init "$work/base" --preset nano
"$python" bin/bake --raw_dir "$data/raw" --clades prokaryotes --splits "$data/splits.tsv" --output_dir "$work/baked" \
    --tokenizer "$work/base" --window_size 6144 --target 4096 --hard_limit 4400 --passes 5 --recode_share 0.06 \
    --n_workers 2 --seed 1
"$python" bin/finet "$work/baked/training.packed" "$work/baked/validation.packed" "$work/run" "$work/base" \
    --max_steps 4400 --lr 1.1e-3 --schedule wsd --decay_ratio 0.2 --batch_size 2 --weight_decay 0.02 --ema_decay 0.998 \
    --compile --export last --eval_steps 600 --eval_batches 12 --save_every 5 --memwatch --resume
"$python" - "$work" <<'PY'
import pathlib
import shutil
import sys

sys.path.insert(0, "lib")
import torch

from genet5.model.network import GeneT5

work = pathlib.Path(sys.argv[1])
GeneT5.from_pretrained(work / "run").save_pretrained(work / "nano", dtype=torch.float16)
shutil.copy(work / "run" / "tokenizer.json", work / "nano")
PY
genomes=() references=()
while IFS=$'\t' read -r clade genome _ split; do
    if [[ $clade == prokaryotes && $split == valid ]]; then
        genomes+=("$data/raw/$clade/$genome/genome.fa.gz")
        references+=("$data/raw/$clade/$genome/annotation.gff3.gz")
    fi
done < "$data/splits.tsv"
"$python" bin/calibrate "$work/nano" --genomes "${genomes[@]}" --references "${references[@]}" --work "$work/fit" \
    --window_bp 6144 --overlap_bp 3072 --max_bp 700000 --head_only yes
# What is learned from a genome needs all of it.
"$python" bin/calibrate "$work/nano" --genomes "${genomes[@]}" --references "${references[@]}" --work "$work/fit_adapt" \
    --adapt_only
echo "the model is in $work/nano; compare it: benchmarks/accuracy/bench_peers.py --clades prokaryotes --model prokaryotes=$work/nano"
