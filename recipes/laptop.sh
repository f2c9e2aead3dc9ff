#!/usr/bin/env bash
# From raw genomes to a scored model of your own, on two CPU cores without a GPU.
#
#   recipes/laptop.sh              five bacteria from NCBI: three to train, one to calibrate, one to score
#   recipes/laptop.sh --toy        artificial genomes and a few steps: shows that all parts work, finds no genes
#   recipes/laptop.sh --dry_run    print the commands and stop
#
# Expected: about 2 hours, of which training 80 minutes, and 4 GiB of memory (as the shipped model's training, same shape and
# steps, on two cores that multiply bf16; --toy: a few minutes, 1.5 GiB), below 1 GB of disk. --max_minutes ends training on
# a slower CPU; fewer --max_steps make the learning rate fall in time, too.
# DATA names the folder with raw/, baked/, model/ and logs/ (default: the one that holds this checkout), PYTHON the
# interpreter. Started again, the recipe resumes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

toy='' dry_run=''
for flag in "$@"; do
    case $flag in
        --toy) toy=yes ;;
        --dry_run | --dry-run) dry_run=yes ;;
        *) echo "usage: recipes/laptop.sh [--toy] [--dry_run]" >&2 && exit 2 ;;
    esac
done
name=laptop${toy:+_toy} python=${PYTHON:-python3} data=${DATA:-$(dirname "$PWD")}
raw=$data/raw baked=$data/baked/$name base=$data/model/${name}_base out=$data/model/$name logs=$data/logs/$name

run() { # print a command, then run it
    printf '+ ' >&2 && printf '%q ' "$@" >&2 && echo >&2
    [ -n "$dry_run" ] || "$@"
}
[ -n "$dry_run" ] || mkdir -p "$raw" "$baked" "$logs"

echo "== 1. Genomes: the last but one is for calibration, the last for scores" >&2
if [ -n "$toy" ]; then
    raw=$raw/$name code=11
    folders=("$raw"/prokaryotes/{training,calibration,test})
    for number in 0 1 2; do
        [ -e "${folders[number]}/genome.fa" ] ||
            run "$python" bin/simulate "${folders[number]}" --length_bp "${TOY_BP:-60000}" --seed "$number"
    done
    bake=(--window_size 4096 --target 1500 --hard_limit 3000)
    train=(--max_steps "${TOY_STEPS:-4}" --token_budget "${TOY_TOKENS:-6000}" --eval_windows 0)
else
    code=4 # of the test genome; --recode_share makes training windows with it
    fetch=(bin/fetch GCF_000005845.2 GCF_000006745.1 GCF_000195955.2 GCF_000009045.1 GCF_000027325.1 --out_dir "$raw")
    folders=("$raw"/prokaryotes/{one,two,three,calibration,test}) # as a dry run prints them
    [ -n "$dry_run" ] || mapfile -t folders < <(run "$python" "${fetch[@]}")
    [ -z "$dry_run" ] || run "$python" "${fetch[@]}"
    bake=(--window_size 6144 --target 4096 --hard_limit 4400 --passes 5 --recode_share 0.06 --n_workers 2)
    train=(--max_steps 4400 --max_minutes 90 --lr 1.1e-3 --schedule wsd --decay_ratio 0.2 --batch_size 2
        --weight_decay 0.02 --ema_decay 0.998 --compile --export last --eval_steps 600 --eval_batches 12)
fi
[ "${#folders[@]}" -ge 3 ] || { echo "recipes/laptop.sh: ${#folders[@]} genomes, expected 3 or more" >&2 && exit 1; }
calibration=${folders[-2]} test=${folders[-1]}

echo "== 2. Bake: windows with labels; calibration and test genome are held out by the split table" >&2
if [ -z "$dry_run" ]; then
    for folder in "${folders[@]:0:${#folders[@]}-2}"; do
        printf 'prokaryotes\t%s\t*\ttrain\n' "$(basename "$folder")"
    done >"$baked/splits.tsv"
    printf 'prokaryotes\t%s\t*\tvalid\n' "$(basename "$calibration")" >>"$baked/splits.tsv"
fi
[ -e "$base/config.json" ] || run "$python" bin/init "$base" --preset nano
[ -e "$baked/training.packed" ] ||
    run "$python" bin/bake --raw_dir "$raw" --clades prokaryotes --splits "$baked/splits.tsv" --output_dir "$baked" \
        --tokenizer "$base" --seed 1 "${bake[@]}"

echo "== 3. Train" >&2
run "$python" bin/finet "$baked/training.packed" "$baked/validation.packed" "$out" "$base" --seed 1 --resume "${train[@]}"

echo "== 4. Calibrate gene scores and threshold on a genome that was not trained on" >&2
genome() { echo "$1"/genome.fa*; }
annotation() { echo "$1"/annotation.gff3*; }
run "$python" bin/calibrate "$out" --genomes "$(genome "$calibration")" --references "$(annotation "$calibration")" \
    --work "$logs/calibration" --max_bp 700000

echo "== 5. Annotate and score another one" >&2
run "$python" bin/annotate "$(genome "$test")" -o "$logs/genes.gff3" --model "$out" --genetic_code "$code" --circular all
run "$python" bin/eval --predictions "$logs/genes.gff3" --reference "$(annotation "$test")" --json "$logs/scores.json"
echo "The model is in $out, its genes and scores in $logs." >&2
