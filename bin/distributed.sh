#!/usr/bin/env bash
# Train with torchrun, on one machine or several; see --help.
set -euo pipefail

bin=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
nnodes=1 node_rank=0 master='' port=29500 nproc='' dry_run='' finet=()

usage() {
    cat <<HELP
usage: bin/distributed.sh TRAIN VAL OUT BASE [OPTIONS] [FINET OPTIONS]

Run bin/finet under torchrun with one process per GPU, and print the command. On several machines, run this on each.

  bin/distributed.sh TRAIN VAL OUT BASE --nnodes 2 --node-rank 0 --master 192.168.100.10 --epochs 4

options:
  --nnodes N          number of machines (default: 1)
  --node-rank R       number of this machine, from 0 (default: 0)
  --master ADDRESS    address of machine 0; needed with --nnodes 2 and more
  --port P            free port on machine 0 (default: 29500)
  --nproc-per-node P  processes on this machine (default: its number of GPUs, or 1)
  --dry_run           print the command and stop
  --help              show this text
Everything else goes to bin/finet; see bin/finet --help. PYTHON names the interpreter (default: python3).
HELP
}

wrong_usage() {
    echo "distributed.sh: $1 See --help." >&2
    exit 2
}

while [ $# -gt 0 ]; do
    flag=${1%%=*}
    case ${flag//_/-} in
        --nnodes | --node-rank | --master | --port | --nproc-per-node)
            if [[ $1 == *=* ]]; then
                value=${1#*=}
            else
                [ $# -ge 2 ] || wrong_usage "$1 needs a value."
                value=$2
                shift
            fi
            case ${flag//_/-} in
                --nnodes) nnodes=$value ;;
                --node-rank) node_rank=$value ;;
                --master) master=$value ;;
                --port) port=$value ;;
                --nproc-per-node) nproc=$value ;;
            esac
            ;;
        --dry-run) dry_run=yes ;;
        --help | -h) usage && exit 0 ;;
        *) finet+=("$1") ;;
    esac
    shift
done

[ ${#finet[@]} -ge 4 ] || wrong_usage "TRAIN VAL OUT BASE are needed."
for number in "$nnodes" "$node_rank" "$port" "${nproc:-1}"; do
    [[ $number =~ ^[0-9]+$ ]] || wrong_usage "$number is no whole number."
done
[ "$node_rank" -lt "$nnodes" ] || wrong_usage "--node-rank $node_rank: must be less than --nnodes $nnodes."
[ "$nnodes" = 1 ] || [ -n "$master" ] || wrong_usage "--nnodes $nnodes needs --master ADDRESS."
if [ -z "$nproc" ]; then
    nproc=$(nvidia-smi --list-gpus 2>/dev/null | grep -c '^GPU' || true)
    [ "${nproc:-0}" -gt 0 ] || nproc=1
fi

run=("${PYTHON:-python3}" -m torch.distributed.run --nnodes "$nnodes" --nproc-per-node "$nproc")
if [ "$nnodes" = 1 ] && [ -z "$master" ]; then
    run+=(--standalone)
else
    run+=(--node-rank "$node_rank" --master-addr "$master" --master-port "$port")
fi
run+=("$bin/finet" "${finet[@]}")

printf '%q ' "${run[@]}" && echo
[ -n "$dry_run" ] || exec "${run[@]}"
