#!/usr/bin/env bash
# Train with torchrun, on one machine or several; see --help and docs/how-to/distributed.md.
set -euo pipefail
unset CDPATH # with it, cd prints the folder

bin=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
nnodes=1 node_rank=0 master='' port=29500 nproc='' restarts=0 grace='' interface='' hca='' socket='' script='' dry_run=''
finet=()

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
  --nproc-per-node P  processes on this machine (default: its number of GPUs that CUDA_VISIBLE_DEVICES allows, or 1)
  --max-restarts N    when a process dies, start all processes again up to N times; they resume from the last
                      checkpoint (default: 0 = end with the reason). Same N on all machines
  --grace SECONDS     after SIGTERM, time to save before processes are killed (default: 30, torchrun's own)
  --interface NAMES   network interfaces of NCCL and gloo, such as enp1s0f0np0
  --hca NAMES         RoCE or InfiniBand devices of NCCL, such as rocep1s0f0,roceP2p1s0f0
  --socket            TCP in place of RoCE and InfiniBand (slower; works on every network)
  --script FILE       run this Python program in place of bin/finet; then all other words go to it
  --dry_run           print the command and stop
  --help              show this text
All other flags go to bin/finet; see bin/finet --help. PYTHON names the interpreter (default: python3).
HELP
}

wrong_usage() {
    echo "distributed.sh: $1 See --help." >&2
    exit 2
}

# Both --node-rank 1 and --node_rank=1.
while [ $# -gt 0 ]; do
    flag=${1%%=*}
    case ${flag//_/-} in
        --nnodes | --node-rank | --master | --port | --nproc-per-node | --max-restarts | --grace | --interface | --hca | --script)
            if [[ $1 == *=* ]]; then
                value=${1#*=}
            else
                [[ $# -ge 2 && $2 != -* ]] || wrong_usage "$1 needs a value."
                value=$2
                shift
            fi
            case ${flag//_/-} in
                --nnodes) nnodes=$value ;;
                --node-rank) node_rank=$value ;;
                --master) master=$value ;;
                --port) port=$value ;;
                --nproc-per-node) nproc=$value ;;
                --max-restarts) restarts=$value ;;
                --grace) grace=$value ;;
                --interface) interface=$value ;;
                --hca) hca=$value ;;
                --script) script=$value ;;
            esac
            ;;
        --socket) socket=yes ;;
        --dry-run) dry_run=yes ;;
        --help | -h) usage && exit 0 ;;
        *) finet+=("$1") ;;
    esac
    shift
done

[ -n "$script" ] || [ ${#finet[@]} -ge 4 ] || wrong_usage "TRAIN VAL OUT BASE are needed."
for number in "$nnodes" "$node_rank" "$port" "${nproc:-1}" "$restarts" "${grace:-0}"; do
    [[ $number =~ ^(0|[1-9][0-9]{0,8})$ ]] || wrong_usage "$number is no whole number."
done
[[ $port -ge 1 && $port -le 65535 ]] || wrong_usage "--port $port: must be from 1 to 65535."
[[ $nnodes -ge 1 && ${nproc:-1} -ge 1 ]] || wrong_usage "--nnodes and --nproc-per-node must be at least 1."
[ "$node_rank" -lt "$nnodes" ] || wrong_usage "--node-rank $node_rank: must be less than --nnodes $nnodes."
[ "$nnodes" = 1 ] || [ -n "$master" ] || wrong_usage "--nnodes $nnodes needs --master ADDRESS."
[[ -z $master || $master =~ ^[A-Za-z0-9_][A-Za-z0-9_.:-]*$ ]] || wrong_usage "--master $master is no address."
names='^[A-Za-z0-9_][A-Za-z0-9_.@-]*(:[0-9]+)?(,[A-Za-z0-9_][A-Za-z0-9_.@-]*(:[0-9]+)?)*$'
for list in "$interface" "$hca"; do
    [[ -z $list || $list =~ $names ]] || wrong_usage "$list: names with commas between them are needed."
done
[ -z "$socket" ] || [ -z "$hca" ] || wrong_usage "--socket uses no RoCE or InfiniBand device: leave out --hca."
if [ -z "$nproc" ]; then
    if [ -n "${CUDA_VISIBLE_DEVICES+set}" ]; then
        IFS=, read -ra gpus <<<"$CUDA_VISIBLE_DEVICES"
        nproc=${#gpus[@]}
    else
        nproc=$(nvidia-smi --list-gpus 2>/dev/null | grep -c '^GPU' || true)
    fi
    [ "${nproc:-0}" -gt 0 ] || nproc=1
fi

settings=()
# NCCL takes names as prefixes, unless "=" precedes them.
[ -z "$interface" ] || settings+=("NCCL_SOCKET_IFNAME==$interface" "GLOO_SOCKET_IFNAME=$interface")
[ -z "$hca" ] || settings+=("NCCL_IB_HCA==$hca")
[ -z "$socket" ] || settings+=(NCCL_IB_DISABLE=1)
[ -z "$grace" ] || settings+=("TORCH_ELASTIC_SHUTDOWN_TIMEOUT=$grace")
# With the agents' store, processes that start again would find each other's old addresses (PyTorch issue 135712).
is_one_machine=''
[ "$nnodes" != 1 ] || [ -n "$master" ] || is_one_machine=yes
[[ $restarts = 0 && -z $is_one_machine ]] || settings+=(TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1)
[ -z "$is_one_machine" ] || [ -n "$interface" ] || settings+=("NCCL_SOCKET_IFNAME==lo" GLOO_SOCKET_IFNAME=lo)

run=("${PYTHON:-python3}" -m torch.distributed.run --nnodes "$nnodes" --nproc-per-node "$nproc")
[ "$restarts" = 0 ] || run+=(--max-restarts "$restarts")
[ ${#settings[@]} = 0 ] || run=(env "${settings[@]}" "${run[@]}")
if [ -n "$is_one_machine" ]; then
    # On one machine nothing listens but on its loopback address: the agent's store is a file, that of the run is bound
    # to MASTER_ADDR (lib/genet5/train/distributed/rendezvous.py). torchrun --standalone would listen on all addresses.
    run+=(--rdzv-backend c10d --rdzv-conf store_type=file --rdzv-id genet5 --local-addr 127.0.0.1)
elif [ "$restarts" = 0 ]; then
    run+=(--node-rank "$node_rank" --master-addr "$master" --master-port "$port")
else
    # Only a c10d rendezvous makes the other machines start again. It numbers machines by the order of their names:
    # machine 0 has its address, which processes connect to, and the names of the others sort after it by number.
    name=$master is_host=1 endpoint=$master:$port
    [ "$node_rank" = 0 ] || name=$(printf '~%05d' "$node_rank") is_host=0
    [[ $master != *:* ]] || endpoint="[$master]:$port"
    run+=(--rdzv-backend c10d --rdzv-endpoint "$endpoint" --rdzv-id genet5 --rdzv-conf "is_host=$is_host"
        --local-addr "$name")
fi
run+=("${script:-$bin/finet}" "${finet[@]}")

printf '%q ' "${run[@]}" && echo
[ -z "$dry_run" ] || exit 0

for name in ${interface//,/ }; do
    [ -e "/sys/class/net/${name%%:*}" ] || {
        here=(/sys/class/net/*)
        echo "distributed.sh: there is no network interface ${name%%:*}; this machine has: ${here[*]##*/}" >&2
        exit 1
    }
done
if [ "$restarts" != 0 ] && [ "$node_rank" != 0 ]; then # torchrun itself would wait for machine 0 for one minute only
    for ((tries = 0; tries < 300; tries++)); do
        ! (exec 3<>"/dev/tcp/$master/$port") 2>/dev/null || break
        [ "$tries" != 1 ] || echo "distributed.sh: waiting for $master, port $port ..." >&2
        sleep 2
    done
    [ "$tries" -lt 300 ] || {
        echo "distributed.sh: nobody answers at $master, port $port. Is the run started on machine 0, and the port open?" >&2
        exit 1
    }
fi
exec "${run[@]}"
