#!/usr/bin/env bash
# All speed benchmarks of one GPU in one call of under 8 minutes, with one table at the end; see --help.
#
# A machine without internet: carry the wheels of what it lacks (the script names that), with the same Python elsewhere:
#   elsewhere:   pip download -d wheels transformers pyarrow huggingface_hub tyro dacite safetensors tokenizers pyfaidx \
#                    biopython rich pytest hypothesis
#   there:       pip install --no-index --find-links wheels transformers pyarrow huggingface_hub tyro dacite safetensors \
#                    tokenizers pyfaidx biopython rich pytest hypothesis
set -uo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
here=$root/benchmarks
python=${PYTHON:-python3} mode=cuda out=${OUT:-} seconds=470 note='' only='' dry_run=''
steps='tests annotate train_step moe loading decode attention compressor recompute'

usage() {
    cat <<HELP
usage: benchmarks/run_gpu.sh [OPTIONS]

GPU tests, annotation (throughput, and kernels and waits of the host by PyTorch's profiler), training steps, experts,
loading, decoding, attention, the compressor and recomputation, in this order, each with a time limit of its own; what fails or takes too long does not stop the others, and what
no time is left for is listed. Results go to OUT as DATE_DEVICE_WHAT.json, messages as .log, the table as .md.

options:
  --out DIR       folder of the results (default: OUT, or benchmarks/results, with --cpu benchmarks/results/cpu_quick)
  --seconds N     end after this many seconds in all (default: 470)
  --only "A B"    these steps only: $steps
  --note TEXT     what the results record about the machine, such as: shared, other jobs ran
  --cpu           the same at small sizes on a CPU: tries the script out, and gives ratios
  --dry_run       print the commands and stop
  --help          show this text
PYTHON names the interpreter (default: python3). Exit code: 0 all well, 1 a step failed or ran out of time, 2 wrong usage or
a missing package.
HELP
}

wrong_usage() {
    echo "run_gpu.sh: $1 See --help." >&2
    exit 2
}

while [ $# -gt 0 ]; do
    case $1 in
        --out | --seconds | --only | --note)
            [ $# -ge 2 ] || wrong_usage "$1 needs a value."
            declare "${1#--}=$2"
            shift
            ;;
        --cpu) mode=cpu ;;
        --dry_run | --dry-run) dry_run=yes ;;
        --help | -h)
            usage
            exit 0
            ;;
        *) wrong_usage "unknown option $1." ;;
    esac
    shift
done
[[ $seconds =~ ^[0-9]+$ ]] || wrong_usage "--seconds must be a number, not $seconds."
for name in $only; do
    [[ " $steps " == *" $name "* ]] || wrong_usage "--only: no step $name."
done

python=$(command -v "$python") || wrong_usage "there is no program ${PYTHON:-python3}."
case $python in /*) ;; *) python=$PWD/$python ;; esac # from here on other folders are entered
export PYTHONPATH=$root/lib${PYTHONPATH:+:$PYTHONPATH}
missing=$("$python" - <<'PY'
import importlib.util

packages = {
    "torch": "torch", "numpy": "numpy", "pyarrow": "pyarrow", "transformers": "transformers", "tyro": "tyro",
    "dacite": "dacite", "safetensors": "safetensors", "tokenizers": "tokenizers", "pyfaidx": "pyfaidx",
    "Bio": "biopython", "rich": "rich", "huggingface_hub": "huggingface_hub",
}
print(" ".join(package for module, package in packages.items() if importlib.util.find_spec(module) is None))
PY
) || wrong_usage "$python does not run."
if [ -n "$missing" ]; then
    echo "run_gpu.sh: missing: pip install $missing (without internet: see the head of this script)" >&2
    exit 2
fi
label=$(cd "$here" && "$python" - "$mode" <<'PY'
import sys

import torch

if sys.argv[1] == "cpu":
    print("cpu")
elif torch.cuda.is_available():
    from measure import device_label

    print(device_label(torch.cuda.get_device_name()))
PY
) || exit 1
[ -n "$label" ] || wrong_usage "no CUDA device; --cpu runs on a CPU."

[ "$mode" = cuda ] || : "${out:=$here/results/cpu_quick}"
: "${out:=$here/results}"
mkdir -p "$out" && out=$(cd "$out" && pwd) || exit 1 # paths hold from any folder
prefix=$out/$(date -u +%F)_$label
end=$((seconds - 12)) failed=0 # SECONDS counts from the start of this script; ending a step and the table take some, too
states=$(mktemp) || exit 1
trap 'rm -f "$states"' EXIT

# step NAME LIMIT_S COMMAND...: run with a limit, note the state, continue.
step() {
    local name=$1 limit=$2 start=$SECONDS left state status
    shift 2
    [ -z "$only" ] || [[ " $only " == *" $name "* ]] || return 0
    if [ -n "$dry_run" ]; then
        printf '%s (%s s): ' "$name" "$limit"
        printf '%q ' "$@"
        printf '\n'
        return 0
    fi
    left=$((end - SECONDS))
    if [ "$left" -lt 5 ]; then
        state='not started: no time was left'
    else
        [ "$left" -ge "$limit" ] || limit=$left
        echo "== $name (at most $limit s)"
        timeout --kill-after=10 "$limit" "$@" 2>&1 | tee "${prefix}_$name.log"
        status=${PIPESTATUS[0]}
        case $status in
            0) state=ok ;;
            124 | 137) state='out of time' ;;
            *) state="failed (exit $status)" ;;
        esac
    fi
    [ "$state" = ok ] || failed=1
    printf '%s\t%s\t%s\n' "$name" "$state" "$((SECONDS - start))" >>"$states"
    echo "== $name: $state, $((SECONDS - start)) s"
}

bench() { # bench NAME LIMIT_S FLAGS...
    local name=$1 limit=$2
    shift 2
    if [ -z "$dry_run" ] && [[ -z $only || " $only " == *" $name "* ]]; then
        rm -f "${prefix}_$name.json" # of an earlier run today: the table must not show it as this one's
    fi
    step "$name" "$limit" "$python" "$here/bench_$name.py" --device "$mode" --note "$note" \
        --out "${prefix}_$name.json" "$@"
}

cd "$root" || exit 1
if [ "$mode" = cuda ]; then
    if "$python" -c 'import hypothesis, pytest' 2>/dev/null; then
        step tests 45 "$python" -m pytest -q -m gpu --durations=0 tests/unit
    else
        echo "== tests: left out, no pytest or no hypothesis here"
    fi
    # The shapes that have a target come first: what does not fit into the time is left out and listed.
    bench annotate 90 --contenders genet5 --bp 5000000 --rounds 2 --profile
    bench train_step 160 --compile --presets dense300m base small nano --peers t5 --rounds 10 --limit_s 120
    bench moe 35 --tokens 2048 8192 32768 --rounds 10
    bench loading 60 --presets nano base --rounds 3
    bench decode 40 --presets nano base --rounds 2
    bench attention 35 --lengths 4096 32768 --passes "forward and backward" --rounds 3 --limit_s 5
    bench compressor 25 --batches 8 --dtype bf16 --rounds 5
    bench recompute 20 --windows 8 --tokens 1024 --rounds 5
else
    bench annotate 120 --contenders genet5 --bp 40000 --rounds 1 --profile
    bench train_step 120 --presets nano --peers t5 --rounds 3
    bench moe 100 --tokens 512 --rounds 2
    bench loading 120 --presets nano --rounds 5 --steps 3 --micro_batches 12 --mbp 0.6
    bench decode 90 --presets nano --batch_sizes 1 8 --rounds 2
    bench attention 80 --lengths 1024 4096 --rounds 2 --limit_s 5
    bench compressor 60 --batches 1 --most_bp 7000 --rounds 2
    bench recompute 60 --windows 1 --tokens 256 --rounds 2
fi
[ -z "$dry_run" ] || exit 0

echo
"$python" "$here/summary.py" "$out" --device "$label" --date "$(date -u +%F)" --steps "$states" \
    --out "${prefix}_summary.md" || failed=1
exit "$failed"
