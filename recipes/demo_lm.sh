#!/usr/bin/env bash
# A toy language model on an artificial genome: pretrain, score variants, embed genes, generate with a report. Under five
# minutes on two cores, most of it training.
#   recipes/demo_lm.sh [OUT]
set -euo pipefail
out=${1:-demo-lm}
rm -rf "$out"
genet5 simulate "$out/genome" --length_bp 300000 --seed 1
genome=$out/genome/genome.fa genes=$out/genome/annotation.gff3

genet5 lm init "$out/base" --tokenizer nucleotide --width 64 --layers 2 --heads 4 --kv_heads 2 --ff_width 192
genet5 lm bake "$out/baked" --base "$out/base" --fasta "$genome" --window_bp 1536 --strand both --valid_share 0.1
genet5 lm pretrain "$out/baked/training.packed" "$out/baked/validation.packed" "$out/model" "$out/base" \
    --max_steps 120 --batch_size 2 --lr 3e-3 --num_workers 0

# Ten variants: every other base from 1,001 on, changed to its transition.
name=$(sed -n 's/^>\([^ ]*\).*/\1/p;q' "$genome")
{
    printf '##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n'
    sed 1d "$genome" | tr -d '\n' | cut -c1001-1020 | fold -w 2 | awk -v name="$name" '
        BEGIN { to["A"] = "G"; to["C"] = "T"; to["G"] = "A"; to["T"] = "C" }
        { ref = toupper(substr($1, 1, 1)); print name "\t" 999 + 2 * NR "\t.\t" ref "\t" to[ref] "\t.\t.\t." }'
} > "$out/variants.vcf"
genet5 lm vep "$out/model" "$genome" "$out/variants.vcf" -o "$out/scored.vcf" --context_bp 768 --strand both
genet5 lm embed "$out/model" "$genome" --regions "$genes" --truncate --pca 8 -o "$out/genes.parquet"
genet5 lm generate "$out/model" -o "$out/made.fa" --prompt ATG --with_prompt --number 20 --length_bp 300 --seed 1 \
    --report "$out/report.html" --training "$genome"
cat << TEXT

The model:                     $out/model
Variants with their scores:    $out/scored.vcf
Embedded genes, 8 components:  $out/genes.parquet
Generated sequences:           $out/made.fa
What they are like:            $out/report.html   (open it in a browser)
TEXT
