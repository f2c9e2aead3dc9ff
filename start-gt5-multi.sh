#!/usr/bin/env bash
# Start the GeneT5 container on each of several machines; see --help.
set -euo pipefail

code=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
options=() nodes=()

usage() {
    cat <<HELP
usage: ./start-gt5-multi.sh [OPTIONS] [-- TRAIN VAL OUT BASE [FINET OPTIONS]]

Run this on every machine. It starts the container on the machine's own network. Behind -- stands what to train, as
for bin/distributed.sh, which then runs in the container; without it, a shell starts.

  machine 0:  ./start-gt5-multi.sh --nnodes 2 --node-rank 0 --master 192.168.100.10 -- TRAIN VAL OUT BASE
  machine 1:  ./start-gt5-multi.sh --nnodes 2 --node-rank 1 --master 192.168.100.10 -- TRAIN VAL OUT BASE

TRAIN, VAL, OUT and BASE are paths in the container, such as /workspace/baked/training.packed.

options:
  --nnodes N        number of machines
  --node-rank R     number of this machine, from 0
  --master ADDRESS  address of machine 0, as the others see it
  --port P          free port on machine 0 (default: 29500)
  --help            show this text
All options of start-gt5.sh are taken too (--data, --image, --gpus, --cpu, --dry_run).
HELP
}

wrong_usage() {
    echo "start-gt5-multi.sh: $1 See --help." >&2
    exit 2
}

while [ $# -gt 0 ]; do
    case $1 in
        --nnodes | --node-rank | --node_rank | --master | --port | --data | --image | --gpus)
            [ $# -ge 2 ] || wrong_usage "$1 needs a value."
            case $1 in
                --data | --image | --gpus) options+=("$1" "$2") ;;
                *) nodes+=("${1//_/-}" "$2") ;;
            esac
            shift
            ;;
        --help | -h) usage && exit 0 ;;
        --) shift && break ;;
        *) options+=("$1") ;;
    esac
    shift
done

command=()
if [ $# -gt 0 ]; then
    for flag in --nnodes --node-rank --master; do
        [[ " ${nodes[*]} " == *" $flag "* ]] || wrong_usage "training on several machines needs $flag."
    done
    command=(-- bin/distributed.sh "$@" "${nodes[@]}")
fi
exec "$code/start-gt5.sh" --host_network "${options[@]}" "${command[@]}"
