#!/usr/bin/env bash
# Start the GeneT5 container on each of several machines; see --help.
set -euo pipefail
unset CDPATH # with it, cd prints the folder

code=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
options=() nodes=()

usage() {
    cat <<HELP
usage: ./start-gt5-multi.sh [OPTIONS] [-- TRAIN VAL OUT BASE [FINET OPTIONS]]

Run this on every machine. It starts the container on the machine's own network. What follows -- goes to
bin/distributed.sh, which then runs in the container; without it, a shell starts.

  machine 0:  ./start-gt5-multi.sh --nnodes 2 --node-rank 0 --master 192.168.100.10 -- TRAIN VAL OUT BASE
  machine 1:  ./start-gt5-multi.sh --nnodes 2 --node-rank 1 --master 192.168.100.10 -- TRAIN VAL OUT BASE

TRAIN, VAL, OUT and BASE are paths in the container, such as /workspace/baked/training.packed.

options:
  --nnodes N         number of machines
  --node-rank R      number of this machine, from 0
  --master ADDRESS   address of machine 0, as the others reach it
  --port P           free port on machine 0 (default: 29500)
  --max-restarts N   when a process dies, all resume from the last checkpoint, up to N times (default: 0)
  --grace SECONDS    after SIGTERM, time to save before processes are killed (default: 30)
  --interface NAMES  network interfaces of NCCL and gloo
  --hca NAMES        RoCE or InfiniBand devices of NCCL
  --socket           TCP in place of RoCE and InfiniBand
  --help             show this text
bin/distributed.sh --help explains these further. All options of start-gt5.sh are accepted too (--data, --image,
--gpus, --cpu, --dry_run).
HELP
}

wrong_usage() {
    echo "start-gt5-multi.sh: $1 See --help." >&2
    exit 2
}

# Both --node-rank 1 and --node_rank=1.
while [ $# -gt 0 ]; do
    flag=${1%%=*} flag=${flag//_/-}
    case $flag in
        --nnodes | --node-rank | --master | --port | --max-restarts | --grace | --interface | --hca | --data | --image | --gpus)
            if [[ $1 == *=* ]]; then
                value=${1#*=}
            else
                [[ $# -ge 2 && $2 != -* ]] || wrong_usage "$1 needs a value."
                value=$2
                shift
            fi
            case $flag in
                --data | --image | --gpus) options+=("$flag" "$value") ;;
                *) nodes+=("$flag" "$value") ;;
            esac
            ;;
        --socket) nodes+=("$1") ;;
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
elif [ ${#nodes[@]} -gt 0 ]; then
    echo "start-gt5-multi.sh: a shell starts; give ${nodes[*]} to bin/distributed.sh in it" >&2
fi
exec "$code/start-gt5.sh" --host_network "${options[@]}" "${command[@]}"
