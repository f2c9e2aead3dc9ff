#!/usr/bin/env bash
# Two network namespaces of this machine stand in for two machines; see --help.
set -euo pipefail

usage() {
    cat <<HELP
usage: tests/integration/two_nodes.sh COMMAND ...

Run COMMAND in two network namespaces at once, 192.168.100.10 and 192.168.100.11, which a virtual cable (interface eth0,
MTU 9000) joins. In each, NODE is 0 or 1, and the word {node} of COMMAND becomes that number. Needs root and ip (iproute2).
Signal USR1 cuts the cable, USR2 mends it. The exit code is that of the first node that failed, or 0.

  tests/integration/two_nodes.sh bin/distributed.sh TRAIN VAL OUT BASE --nnodes 2 --node-rank {node} \\
      --master 192.168.100.10 --interface eth0 --device cpu
HELP
}

case ${1:-} in
    --help | -h) usage && exit 0 ;;
    '') usage >&2 && exit 2 ;;
esac
[ "$(id -u)" = 0 ] || { echo "two_nodes.sh: needs root, to make network namespaces" >&2; exit 1; }

names=("genet5-$$-0" "genet5-$$-1") jobs=()

# shellcheck disable=SC2317,SC2329 # a trap calls it
clean_up() {
    for name in "${names[@]}"; do
        ip netns pids "$name" 2>/dev/null | xargs --no-run-if-empty kill -KILL 2>/dev/null || true
        ip netns del "$name" 2>/dev/null || true # its end of the cable goes with it
    done
}
trap clean_up EXIT
trap 'exit 143' TERM
trap 'exit 130' INT

for name in "${names[@]}"; do ip netns add "$name"; done
ip link add eth0 netns "${names[0]}" mtu 9000 type veth peer name eth0 netns "${names[1]}" mtu 9000
for node in 0 1; do
    ip -n "${names[$node]}" address add "192.168.100.1$node/24" dev eth0
    ip -n "${names[$node]}" link set lo up
    ip -n "${names[$node]}" link set eth0 up
done
trap 'ip -n "${names[1]}" link set eth0 down' USR1
trap 'ip -n "${names[1]}" link set eth0 up' USR2

for node in 0 1; do
    NODE=$node ip netns exec "${names[$node]}" "${@//\{node\}/$node}" &
    jobs+=($!)
done
code=0
for job in "${jobs[@]}"; do
    while true; do # a trapped signal ends `wait`, not the job
        ended=0
        wait "$job" || ended=$?
        kill -0 "$job" 2>/dev/null || break
    done
    [ "$code" != 0 ] || code=$ended
done
exit "$code"
