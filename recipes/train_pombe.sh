#!/usr/bin/env bash
# Spliced genes from raw data to scores: train the nano architecture for 40 minutes on S. pombe chromosome I, calibrate
# on II, annotate III, and score it beside Augustus in one run. About an hour on two cores.
#   recipes/train_pombe.sh WORK [DATA]     DATA: folder with splits.tsv and raw/ (default ../shared/data)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
work=${1:?usage: recipes/train_pombe.sh WORK [DATA]}
data=${2:-../shared/data}
python=${PYTHON:-python3}
genome=Schizosaccharomyces_pombe_ASM294v2

"$python" bin/init "$work/base" --preset nano --seed 1
"$python" bin/bake --raw_dir "$data/raw" --clades unicellular --species "$genome" --splits "$data/splits.tsv" \
    --output_dir "$work/baked" --tokenizer "$work/base" --window_size 6144 --target 4096 --hard_limit 4400 --passes 19 \
    --n_workers 2 --seed 1
# The schedule follows the steps: 2,100 were 36 minutes on two cores; --max_minutes ends a slower run.
"$python" bin/finet "$work/baked/training.packed" "$work/baked/validation.packed" "$work/pombe" "$work/base" \
    --max_steps 2100 --max_minutes 40 --lr 1.1e-3 --schedule wsd --decay_ratio 0.3 --warmup_ratio 0.04 --batch_size 2 \
    --weight_decay 0.05 --ema_decay 0.997 --compile --eval_steps 300 --eval_batches 12 --save_every 4 --memwatch --seed 1 \
    --resume
folder="$data/raw/unicellular/$genome"
"$python" bin/calibrate "$work/pombe" --genomes "$folder/genome.fa.gz" --references "$folder/annotation.gff3.gz" --contigs II \
    --work "$work/fit" --max_bp 1500000
"$python" benchmarks/accuracy/bench_peers.py --genomes "$genome" --model "$genome=$work/pombe" --data "$data" \
    --work "$work/peers" --out "$work/pombe.json"
echo "the model is in $work/pombe, the comparison in $work/pombe.json and .md"
