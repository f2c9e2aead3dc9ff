#!/usr/bin/env bash
# Ten minutes of one GPU for `prok`, on a machine that is lent for so long, has no network, and takes and gives little data.
#
#   recipes/train_gpu.sh pack            here: the genomes of the splits train and valid go to WORK/carry (37 MB)
#   recipes/train_gpu.sh train           there: bake, try the speed, train to the end of the schedule, write OUT
#   recipes/train_gpu.sh join FOLDER     here: the pieces of OUT become WORK/gpu; then recipes/train_prok.sh calibrates
#   ... --dry_run                        print the commands and stop
#
# `train` needs this checkout and WORK/carry (else DATA). It bakes with CORES processes, since genomes are smaller than what
# is baked of them, measures the speed in TRIAL steps, and chooses the number of steps so that learning rate and averaged
# weights reach their end within LIMIT_S seconds (540, all of it). It saves every two minutes. Weights come back in half
# precision, in pieces of PIECE bytes (15 MB); of a run that did not end, those of the lowest validation loss.
# By variables: DATA, WORK, PYTHON and COMPILE as in train_prok.sh; OUT the folder that comes back (default runs/prok/out);
# BATCH packed rows of a step (24 kb each), LR, PRECISION; BASE a model to start from, such as one of earlier ten minutes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
begin=$SECONDS

usage() { echo "usage: recipes/train_gpu.sh pack|train|join FOLDER [--dry_run]" >&2 && exit 2; }
stage='' dry_run='' folder=''
for word in "$@"; do
    case $word in
        --dry_run | --dry-run) dry_run=yes ;;
        -*) usage ;;
        *) if [ -z "$stage" ]; then stage=$word; else folder=$word; fi ;;
    esac
done
if [[ ! $stage =~ ^(pack|train|join)$ ]] || [[ $stage == join && -z $folder ]]; then usage; fi
python=${PYTHON:-python3} data=${DATA:-../shared/data} work=${WORK:-runs/prok} out=${OUT:-runs/prok/out}
limit_s=${LIMIT_S:-540} cores=${CORES:-12} trial=${TRIAL:-120} compile=--compile
[ "${COMPILE:-yes}" = yes ] || compile=''

run() { # print a command, then run it
    printf '+ ' >&2 && printf '%q ' "$@" >&2 && echo >&2
    [ -n "$dry_run" ] || "$@"
}

train() { # folder, steps, further flags
    run "$python" bin/finet "$work/baked/training.packed" "$work/baked/validation.packed" "$1" "${BASE:-$work/base}" \
        --max_steps "$2" --lr "${LR:-2e-3}" --schedule wsd --warmup_ratio 0.03 --decay_ratio 0.25 --batch_size "${BATCH:-32}" \
        --num_workers "$cores" --weight_decay 0.02 --ema_decay 0.998 --label_smoothing 0.02 --start_weight 0.5 $compile \
        --precision "${PRECISION:-bf16}" --eval_batches 8 --eval_windows 0 --save_every 2 --keep_last 1 "${@:3}"
}

pack() {
    run mkdir -p "$work/carry/raw/prokaryotes"
    run cp "$data/splits.tsv" "$work/carry"
    while IFS=$'\t' read -r clade genome _ split; do
        [[ $clade == prokaryotes && ($split == train || $split == valid) ]] || continue
        run cp -r "$data/raw/prokaryotes/$genome" "$work/carry/raw/prokaryotes"
    done <"$data/splits.tsv"
}

steps_within() { # seconds -> steps, by the rows of the trial
    "$python" - "$work/trial/metrics.jsonl" "$1" <<'PY'
import json
import sys

with open(sys.argv[1], encoding="utf-8") as file:
    rows = [row for row in map(json.loads, file) if "lr" in row][-3:]
step_s = (rows[-1]["elapsed_s"] - rows[0]["elapsed_s"]) / (rows[-1]["step"] - rows[0]["step"])
print(max(100, int(float(sys.argv[2]) / step_s)))
PY
}

give_back() {
    run mkdir -p "$out"
    for name in config.json tokenizer.json metrics.csv validation.csv finet.log run.json; do
        [ ! -e "$work/run/$name" ] || run cp "$work/run/$name" "$out"
    done
    [ -n "$dry_run" ] || "$python" - "$work/run" "$out" "${PIECE:-15000000}" <<'PY'
import pathlib
import sys

from safetensors.torch import load_file, save

run, out, piece = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), int(sys.argv[3])
weights = next(p for p in (run / "model.safetensors", run / "best" / "model.safetensors") if p.is_file())
data = save({name: tensor.half().contiguous() for name, tensor in load_file(weights).items()})
for number, start in enumerate(range(0, len(data), piece)):
    (out / f"model.safetensors.{number:02d}").write_bytes(data[start : start + piece])
PY
}

case $stage in
    pack) pack ;;
    train)
        [ ! -r "$work/carry/splits.tsv" ] || data=$work/carry
        DATA=$data WORK=$work WORKERS=$cores LAST=bake PYTHON=$python bash recipes/train_prok.sh ${dry_run:+--dry_run}
        train "$work/trial" "$trial" --log_every_steps "$((trial / 6))" --export last --overwrite
        steps=1000 left_s=$((limit_s - (SECONDS - begin) - 75)) # to validate, to compile again, and to export
        [ -n "$dry_run" ] || steps=$(steps_within "$left_s")
        train "$work/run" "$steps" --eval_steps "$((steps / 6 + 1))" --max_minutes "$((left_s / 60 + 1))" --export last --resume ||
            echo "recipes/train_gpu.sh: the run did not end; what it saved is given back" >&2
        give_back
        ;;
    join)
        run mkdir -p "$work/gpu"
        run cp "$folder/config.json" "$folder/tokenizer.json" "$work/gpu"
        [ -n "$dry_run" ] || cat "$folder"/model.safetensors.?? >"$work/gpu/model.safetensors"
        ;;
esac
