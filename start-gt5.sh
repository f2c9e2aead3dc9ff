#!/usr/bin/env bash
# Start the GeneT5 container on this machine; see --help.
set -euo pipefail
unset CDPATH # with it, cd prints the folder

code=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
image=genet5 data=$(dirname "$code") gpus=all host_network='' dry_run=''

usage() {
    cat <<HELP
usage: ./start-gt5.sh [OPTIONS] [-- COMMAND ...]

Start the GeneT5 container with this checkout and the data folders mounted; without COMMAND, a shell.

  in the container        on this machine
  /workspace/GeneT5       this checkout
  /workspace/raw          DATA/raw      genomes by clade (GFF3 and FASTA)
  /workspace/baked        DATA/baked    packed training files
  /workspace/model        DATA/model    models and checkpoints
  /workspace/logs         DATA/logs     training logs, memory profiles

options:
  --data DIR        DATA, the folder that holds raw, baked, model and logs; they are made if
                    missing (default: the folder that holds this checkout)
  --image NAME      image to run (default: genet5; make it with: docker build --tag genet5 .)
  --gpus WHICH      GPUs for the container, as docker run --gpus takes them (default: all)
  --cpu             run without GPUs
  --host_network    use this machine's network and InfiniBand devices (for several machines)
  --dry_run         print the docker command and stop
  --help            show this text
Environment variables that begin with NCCL_, GLOO_ or WANDB_ hold in the container, too.
HELP
}

wrong_usage() {
    echo "start-gt5.sh: $1 See --help." >&2
    exit 2
}

missing() {
    printf 'start-gt5.sh: %s\n' "$@" >&2
    exit 1
}

while [ $# -gt 0 ]; do
    case $1 in
        --data | --image | --gpus)
            [[ $# -ge 2 && $2 != -* ]] || wrong_usage "$1 needs a value."
            [ "$1" = --data ] && data=$2
            [ "$1" = --image ] && image=$2
            [ "$1" = --gpus ] && gpus=$2
            shift
            ;;
        --cpu) gpus='' ;;
        --host_network | --host-network) host_network=yes ;;
        --dry_run | --dry-run) dry_run=yes ;;
        --help | -h) usage && exit 0 ;;
        --) shift && break ;;
        *) wrong_usage "unknown option $1; a command follows --." ;;
    esac
    shift
done

# An absolute path, whether or not the folder is there yet.
case $data in /*) ;; *) data=$PWD/$data ;; esac
for path in "$data" "$code"; do
    [[ $path != *:* ]] || wrong_usage "docker takes no folder with a colon in its name: $path."
done

run=(docker run --rm --interactive --user "$(id -u):$(id -g)" --ipc host
    --ulimit memlock=-1 --ulimit stack=67108864 --workdir /workspace/GeneT5
    --volume "$code:/workspace/GeneT5")
for folder in raw baked model logs; do
    run+=(--volume "$data/$folder:/workspace/$folder")
done
[ ! -t 0 ] || run+=(--tty)
[ -z "$gpus" ] || run+=(--gpus "$gpus")
for name in $(compgen -e NCCL_) $(compgen -e GLOO_); do
    run+=(--env "$name=${!name}")
done
# By name alone: one of them is a key, which no list of processes shall show.
for name in $(compgen -e WANDB_); do
    run+=(--env "$name")
done
if [ -n "$host_network" ]; then
    run+=(--network host --cap-add IPC_LOCK)
    [ ! -e /dev/infiniband ] || run+=(--device /dev/infiniband)
fi
run+=("$image" "${@:-bash}")

if [ -n "$dry_run" ]; then
    printf '%q ' "${run[@]}" && echo
    exit 0
fi

command -v docker >/dev/null ||
    missing "docker is missing: install Docker Engine, or work without a container (README.md, Install)."
runtimes=$(docker info --format '{{json .Runtimes}}' 2>/dev/null) ||
    missing "docker is installed, but its service does not answer." \
        "Start it (systemctl start docker), or let your user use it (usermod -aG docker USER)."
if [ -n "$gpus" ] && ! grep -q nvidia <<<"$runtimes" && ! command -v nvidia-container-runtime-hook >/dev/null; then
    missing "docker has no GPU runtime: install the NVIDIA Container Toolkit and restart docker," \
        "or run without GPUs: ./start-gt5.sh --cpu"
fi
docker image inspect "$image" >/dev/null 2>&1 ||
    missing "there is no image '$image'. Make it in $code with:" \
        "  docker build --tag $image .                                        (NVIDIA GPUs)" \
        "  docker build --build-arg BASE=python:3.12-slim --tag $image .      (no GPU)"

# Made here, or docker would make them as root.
mkdir -p "$data"/{raw,baked,model,logs}
printf '+ ' >&2 && printf '%q ' "${run[@]}" >&2 && echo >&2
exec "${run[@]}"
