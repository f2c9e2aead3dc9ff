#!/usr/bin/env bash
# Adapt a trained model to the genomes of your clade: its encoder stays as it is, all else is trained on.
#
#   recipes/adapt_to_clade.sh ACCESSION...   assemblies of NCBI: the last but one calibrates, the last is scored, the others train
#   recipes/adapt_to_clade.sh --toy          artificial genomes and a few steps: shows that all parts work
#   recipes/adapt_to_clade.sh --dry_run ...  print the commands and stop
#
# MODEL names the model to start from (default: nano), DATA the folder with raw/, baked/, model/ and logs/ (default: the one
# that holds this checkout), PYTHON the interpreter. The genomes must be of the model's kind (nano: bacteria and archaea).
# Compare the scores with those of MODEL itself, which the last step prints first. Started again, the recipe resumes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

toy='' dry_run='' accessions=()
for word in "$@"; do
    case $word in
        --toy) toy=yes ;;
        --dry_run | --dry-run) dry_run=yes ;;
        -*) accessions=() && break ;;
        *) accessions+=("$word") ;;
    esac
done
if [ -z "$toy" ] && [ "${#accessions[@]}" -lt 3 ] || [[ ${word:-} == -* && ! ${word:-} =~ ^--(toy|dry.run)$ ]]; then
    echo "usage: recipes/adapt_to_clade.sh [--dry_run] ACCESSION ACCESSION ACCESSION... | --toy" >&2 && exit 2
fi
name=adapted${toy:+_toy} python=${PYTHON:-python3} data=${DATA:-$(dirname "$PWD")} model=${MODEL:-nano}
raw=$data/raw/$name baked=$data/baked/$name out=$data/model/$name logs=$data/logs/$name

run() { # print a command, then run it
    printf '+ ' >&2 && printf '%q ' "$@" >&2 && echo >&2
    [ -n "$dry_run" ] || "$@"
}
[ -n "$dry_run" ] || mkdir -p "$raw" "$baked" "$logs"
base=$model
[ -n "$dry_run" ] || base=$("$python" bin/models path "$model")

echo "== 1. Genomes: the last but one is for calibration, the last for scores" >&2
if [ -n "$toy" ]; then
    folders=("$raw"/prokaryotes/{training,calibration,test})
    for number in 0 1 2; do
        [ -e "${folders[number]}/genome.fa" ] ||
            run "$python" bin/simulate "${folders[number]}" --length_bp "${TOY_BP:-60000}" --seed "$number"
    done
    bake=(--window_size 4096 --target 1500 --hard_limit 3000)
    train=(--max_steps "${TOY_STEPS:-4}" --token_budget 6000 --eval_windows 0)
else
    fetch=(bin/fetch "${accessions[@]}" --out_dir "$raw")
    folders=("$raw"/prokaryotes/{training,calibration,test}) # as a dry run prints them
    [ -n "$dry_run" ] || mapfile -t folders < <(run "$python" "${fetch[@]}")
    [ -z "$dry_run" ] || run "$python" "${fetch[@]}"
    bake=(--window_size 6144 --target 4096 --hard_limit 4400 --passes 3)
    train=(--epochs 2 --lr 2e-4 --batch_size 2 --weight_decay 0.02 --ema_decay 0.99 --eval_batches 12)
fi
calibration=${folders[-2]} test=${folders[-1]}

echo "== 2. Bake with the model's tokenizer; calibration and test genome are held out by the split table" >&2
if [ -z "$dry_run" ]; then
    for folder in "${folders[@]:0:${#folders[@]}-2}"; do
        printf '%s\t%s\t*\ttrain\n' "$(basename "$(dirname "$folder")")" "$(basename "$folder")"
    done >"$baked/splits.tsv"
    printf '%s\t%s\t*\tvalid\n' "$(basename "$(dirname "$calibration")")" "$(basename "$calibration")" >>"$baked/splits.tsv"
fi
[ -e "$baked/training.packed" ] ||
    run "$python" bin/bake --raw_dir "$raw" --splits "$baked/splits.tsv" --output_dir "$baked" --tokenizer "$base" --seed 1 \
        "${bake[@]}"

echo "== 3. Train everything but the encoder. For all of it: --layer_decay 0.8 in place of --freeze" >&2
run "$python" bin/finet "$baked/training.packed" "$baked/validation.packed" "$out" "$base" --seed 1 --resume "${train[@]}" \
    --freeze stem code_embedding encoder

echo "== 4. Calibrate: until then the scores are those of $model" >&2
genome() { echo "$1"/genome.fa*; }
annotation() { echo "$1"/annotation.gff3*; }
run "$python" bin/calibrate "$out" --genomes "$(genome "$calibration")" --references "$(annotation "$calibration")" \
    --work "$logs/calibration" --max_bp 700000

echo "== 5. Annotate and score another genome, by $model and by the adapted model" >&2
for each in base out; do
    run "$python" bin/annotate "$(genome "$test")" -o "$logs/$each.gff3" --model "${!each}"
    run "$python" bin/eval --predictions "$logs/$each.gff3" --reference "$(annotation "$test")" --json "$logs/$each.json"
done
echo "The model is in $out, genes and scores of both in $logs." >&2
