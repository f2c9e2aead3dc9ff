#!/usr/bin/env bash
# One small model for all eukaryotes of the split table: start from the model of train_pombe.sh, train on gene-centric windows of
# every clade, then calibrate on the validation contigs. About 45 minutes on two cores.
#   recipes/train_eukaryotes.sh WORK POMBE_MODEL [DATA]     DATA: folder with splits.tsv and raw/
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
work=${1:?usage: recipes/train_eukaryotes.sh WORK POMBE_MODEL [DATA]}
base=${2:?usage: recipes/train_eukaryotes.sh WORK POMBE_MODEL [DATA]}
data=${3:-../shared/data}
python=${PYTHON:-python3}

"$python" bin/bake --raw_dir "$data/raw" --clades unicellular invertebrates plants vertebrates --splits "$data/splits.tsv" \
    --output_dir "$work/baked" --tokenizer "$base" --windows gene_centric --window_size 6144 \
    --clade_genes unicellular=2600 vertebrates=60 --negatives 0.08 --passes 4 --target 4096 --hard_limit 4400 \
    --n_workers 2 --seed 1 --skip_bad
"$python" bin/finet "$work/baked/training.packed" "$work/baked/validation.packed" "$work/model" "$base" \
    --max_steps 1300 --lr 8e-4 --schedule wsd --decay_ratio 0.35 --warmup_ratio 0.03 --batch_size 2 --weight_decay 0.05 \
    --ema_decay 0.997 --compile --eval_steps 500 --eval_batches 12 --eval_windows 0 --save_every 4 --memwatch --seed 2 --resume

# Validation contigs as files of their own: names of contigs repeat from genome to genome.
"$python" - "$data" "$work/valid" <<'PY'
import pathlib
import sys

sys.path[:0] = ["lib", "benchmarks/accuracy"]
from testset import contigs_of, find_entries

from genet5.genome.io.fasta import write_fasta
from genet5.genome.sequence import decode_bases

data, out = map(pathlib.Path, sys.argv[1:])
out.mkdir(parents=True, exist_ok=True)
table = data / "splits.tsv"
for entry in find_entries(table, "valid", clades=["unicellular", "invertebrates", "plants", "vertebrates"]):
    genome = data / "raw" / entry.clade / entry.genome / "genome.fa.gz"
    contigs = contigs_of(entry, table, genome, "valid")
    write_fasta(out / f"{entry.clade}.{entry.genome}.fa", ((c.name, decode_bases(c.bases)) for c in contigs))
PY
genomes=() references=()
for fasta in "$work"/valid/*.fa; do
    name=$(basename "$fasta" .fa)
    # chromosome arm 3R of the small Drosophila set has no coding gene
    [[ $name == *Drosophila* ]] && continue
    genomes+=("$fasta")
    references+=("$data/raw/${name%%.*}/${name#*.}/annotation.gff3.gz")
done
"$python" bin/calibrate "$work/model" --genomes "${genomes[@]}" --references "${references[@]}" --work "$work/fit" --max_bp 600000
echo "the model is in $work/model; compare it: benchmarks/accuracy/bench_peers.py --model unicellular=$work/model ..."
