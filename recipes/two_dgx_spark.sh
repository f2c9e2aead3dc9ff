#!/usr/bin/env bash
# Train `base` (1.55 B parameters, from DNABERT-2) on two DGX Spark that one cable joins; run it on both.
#
#   recipes/two_dgx_spark.sh 0               on the machine with 192.168.100.10
#   recipes/two_dgx_spark.sh 1               on the other, at the same time
#   recipes/two_dgx_spark.sh 0 --dry_run     print the commands and stop
#
# Expected: 25 GB for weights, gradients and moments on each machine (DDP), besides activations; a step exchanges 6.2 GB,
# 0.4 s at 15 GB/s, hence --grad_accum. Not tested on this hardware (docs/how-to/distributed.md lists what was).
# Both machines see the same DATA (NFS): raw/, baked/ (one_gpu.sh bakes; here with base's tokenizer), model/, logs/.
# MASTER, PEER, INTERFACE and HCA name the network; PYTHON the interpreter. Started again, it resumes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

usage() { echo "usage: recipes/two_dgx_spark.sh 0|1 [--dry_run]" >&2 && exit 2; }
[[ ${1:-} =~ ^[01]$ ]] || usage
rank=$1 dry_run=''
case ${2:-} in
    --dry_run | --dry-run) dry_run=yes ;;
    ?*) usage ;;
esac
data=${DATA:-$(dirname "$PWD")} python=${PYTHON:-python3}
master=${MASTER:-192.168.100.10} peer=${PEER:-192.168.100.11}
interface=${INTERFACE:-enp1s0f0np0} hca=${HCA:-rocep1s0f0,roceP2p1s0f0}
baked=$data/baked/genes_bpe base=$data/model/base out=$data/model/base_001
export PYTHON=$python

run() { # print a command, then run it
    printf '+ ' >&2 && printf '%q ' "$@" >&2 && echo >&2
    [ -n "$dry_run" ] || "$@"
}

# The network first: MTU 9000 on both ends, RoCE devices, locked memory, and the bandwidth of sums of gradients.
other=$peer
[ "$rank" = 0 ] || other=$master
run bin/check_network.sh "$other" --speed 200 --bandwidth 15 --node-rank "$rank"

# Model and training files: machine 0 makes them, machine 1 waits.
if [ "$rank" = 0 ]; then
    [ -e "$base/config.json" ] ||
        run "$python" bin/init "$base" --preset base --dnabert_path "${DNABERT:-zhihan1996/DNABERT-2-117M}"
    [ -e "$baked/training.index.json" ] ||
        run "$python" bin/bake --raw_dir "$data/raw" --splits "$data/splits.tsv" --output_dir "$baked" \
            --tokenizer "$base" --windows gene_centric --negatives 0.1 --shard_size 10000 --n_workers 16 --seed 1 --skip_bad
elif [ -z "$dry_run" ]; then
    until [ -e "$baked/training.index.json" ] && [ -e "$baked/validation.index.json" ]; do sleep 10; done
fi

run bin/distributed.sh "$baked/training.index.json" "$baked/validation.index.json" "$out" "$base" \
    --nnodes 2 --node-rank "$rank" --master "$master" --interface "$interface" --hca "$hca" --max-restarts 3 \
    --epochs 4 --lr 1e-4 --token_budget 45500 --max_batch_size 8 --grad_accum 64 --compile --memwatch --resume
[ "$rank" = 1 ] || echo "The model is in $out; calibrate and score it as recipes/one_gpu.sh does." >&2
