#!/usr/bin/env bash
# Check the network between two machines before a run; see --help and docs/how-to/distributed.md.
set -euo pipefail
unset CDPATH # with it, cd prints the folder

bin=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
peer='' interface='' mtu=9000 speed='' hca='' socket='' port=29500 bandwidth='' node_rank='' dry_run='' bench=() failed=0

usage() {
    cat <<HELP
usage: bin/check_network.sh PEER [OPTIONS] [-- BENCH OPTIONS]

Check what training on several machines needs of the network to PEER, the address of another machine: route, MTU, jumbo
frames, link speed, RoCE or InfiniBand devices, locked memory, firewall; and with --bandwidth how fast sums of gradients
are. One line for each finding; the exit code is 1 if something is wrong.

  machine 0:  bin/check_network.sh 192.168.100.11 --speed 200 --bandwidth 15 --node-rank 0
  machine 1:  bin/check_network.sh 192.168.100.10 --speed 200 --bandwidth 15 --node-rank 1     (at the same time)

options:
  --interface NAME  network interface that the run will use (default: that of the route to PEER)
  --mtu BYTES       expected MTU (default: 9000)
  --speed GBIT      expected link speed in Gbit/s (default: any)
  --hca NAMES       RoCE or InfiniBand devices that the run will use (default: any that is active)
  --socket          the run will use TCP: check no RoCE or InfiniBand devices
  --port P          port of the run (default: 29500)
  --bandwidth GB_S  train nothing, but sum tensors with PEER (benchmarks/bench_allreduce.py); expect this bus bandwidth in
                    GB/s. Start it on both machines; BENCH OPTIONS go to it. 200 Gbit/s are 25 GB/s
  --node-rank R     with --bandwidth: 0 on one machine, 1 on the other
  --dry_run         print the commands and stop
  --help            show this text
PYTHON names the interpreter for --bandwidth (default: python3).
HELP
}

wrong_usage() {
    echo "check_network.sh: $1 See --help." >&2
    exit 2
}

# finding ok|wrong|unknown WHAT TEXT
finding() {
    printf '%-8s %-13s %s\n' "$1" "$2" "$3"
    [ "$1" != wrong ] || failed=1
}

# Both --node-rank 1 and --node_rank=1.
while [ $# -gt 0 ]; do
    flag=${1%%=*}
    case ${flag//_/-} in
        --interface | --mtu | --speed | --hca | --port | --bandwidth | --node-rank)
            if [[ $1 == *=* ]]; then
                value=${1#*=}
            else
                [[ $# -ge 2 && $2 != -* ]] || wrong_usage "$1 needs a value."
                value=$2
                shift
            fi
            case ${flag//_/-} in
                --interface) interface=$value ;;
                --mtu) mtu=$value ;;
                --speed) speed=$value ;;
                --hca) hca=$value ;;
                --port) port=$value ;;
                --bandwidth) bandwidth=$value ;;
                --node-rank) node_rank=$value ;;
            esac
            ;;
        --socket) socket=yes ;;
        --dry-run) dry_run=yes ;;
        --help | -h) usage && exit 0 ;;
        --) shift && bench=("$@") && break ;;
        -*) wrong_usage "unknown option $1." ;;
        *)
            [ -z "$peer" ] || wrong_usage "$1: there is one PEER, $peer."
            peer=$1
            ;;
    esac
    shift
done

[[ $peer =~ ^[A-Za-z0-9_][A-Za-z0-9_.:-]*$ ]] || wrong_usage "the address of the other machine is needed."
[[ -z $interface || $interface =~ ^[A-Za-z0-9_][A-Za-z0-9_.@-]*$ ]] || wrong_usage "--interface $interface is no name."
for number in "$mtu" "$port" "${speed:-1}"; do
    [[ $number =~ ^[0-9]{1,9}$ ]] || wrong_usage "$number is no whole number."
done
[[ -z $bandwidth || $bandwidth =~ ^[0-9]+(\.[0-9]+)?$ ]] || wrong_usage "--bandwidth $bandwidth is no number."
[[ -z $bandwidth || $node_rank =~ ^[01]$ ]] || wrong_usage "--bandwidth needs --node-rank 0 or 1."

# The headers of IP and ICMP take 28 bytes, those of IPv6 48.
payload=$((mtu - 28))
[[ $peer != *:* ]] || payload=$((mtu - 48))
ping=(ping -c 3 -W 2 -M "do" -s "$payload" "$peer")

find_route() {
    local address=$peer route
    [[ $peer =~ ^[0-9.]+$ || $peer == *:* ]] || read -r address _ < <(getent ahostsv4 "$peer") || true
    route=$(ip -o route get "$address" 2>/dev/null) || true
    if ! [[ $route =~ dev\ ([^ ]+).*src\ ([^ ]+) ]]; then
        finding wrong route "none to $peer, expected one: give this machine an address in the network of $peer (ip address)"
        exit 1
    fi
    device=${BASH_REMATCH[1]} address_here=${BASH_REMATCH[2]}
    interface=${interface:-$device}
    if [ "$device" = lo ]; then
        finding wrong route "$peer is this machine, expected another one: give the address of the other machine"
    elif [ "$device" != "$interface" ]; then
        finding wrong route "to $peer through $device, expected $interface: use --interface $device, or another address"
    else
        finding ok route "to $peer through $interface, from $address_here"
    fi
}

check_mtu() {
    local link
    link=$(ip -o link show dev "$interface" 2>/dev/null) || true
    if ! [[ $link =~ mtu\ ([0-9]+) ]]; then
        finding wrong MTU "there is no interface $interface, expected one of: $(ip -br link | cut -d ' ' -f 1 | paste -sd ' ')"
    elif [ "${BASH_REMATCH[1]}" -lt "$mtu" ]; then
        finding wrong MTU "$interface has ${BASH_REMATCH[1]}, expected $mtu: ip link set dev $interface mtu $mtu (both machines)"
    else
        finding ok MTU "$interface has ${BASH_REMATCH[1]}"
    fi
}

check_jumbo() {
    local output
    if ! command -v ping >/dev/null; then
        finding unknown "jumbo frames" "not tried: ping is missing (Debian: apt-get install iputils-ping)"
    elif output=$(LC_ALL=C "${ping[@]}" 2>&1) && [[ $output == *" 0% packet loss"* ]]; then
        finding ok "jumbo frames" "packets of $mtu bytes reach $peer unbroken"
    else
        output=$(grep -oE 'message too long.*|[0-9]+% packet loss|Permission denied|Operation not permitted' <<<"$output" | tail -n 1) || true
        finding wrong "jumbo frames" "packets of $mtu bytes do not reach $peer (${output:-ping failed}), expected all: set MTU $mtu on both machines and on the switch between them"
    fi
}

check_speed() {
    local found=-1 link
    if command -v ethtool >/dev/null; then
        link=$(ethtool "$interface" 2>/dev/null) || true
        [[ ! $link =~ Speed:\ ([0-9]+)Mb/s ]] || found=${BASH_REMATCH[1]}
    fi
    if [ "$found" -le 0 ] && [ -r "/sys/class/net/$interface/speed" ]; then # ethtool may print nothing in a container
        found=$(cat "/sys/class/net/$interface/speed" 2>/dev/null) || found=-1
    fi
    if [ "$found" -le 0 ]; then
        finding unknown "link speed" "$interface does not report it (a virtual interface, or no cable)"
    elif [ -n "$speed" ] && [ "$found" -lt $((speed * 1000)) ]; then
        finding wrong "link speed" "$interface has $((found / 1000)) Gbit/s, expected $speed: check the cable and the port of the switch"
    else
        finding ok "link speed" "$interface has $((found / 1000)) Gbit/s"
    fi
}

check_rdma() {
    local state name active=() limit
    for state in /sys/class/infiniband/*/ports/*/state; do
        [[ -e $state && $(<"$state") == *ACTIVE* ]] || continue
        name=${state#/sys/class/infiniband/}
        active+=("${name%%/*}")
    done
    for name in ${hca//,/ }; do
        [[ " ${active[*]} " == *" ${name%%:*} "* ]] ||
            finding wrong RDMA "$name is not active, expected it to be: ip link set its interface up; active: ${active[*]:-none}"
    done
    if [ ${#active[@]} = 0 ]; then
        finding wrong RDMA "no active RoCE or InfiniBand device, expected one: load its driver (modprobe mlx5_ib), or train with --socket"
        return
    fi
    finding ok RDMA "active devices: ${active[*]}"
    if command -v ibv_devinfo >/dev/null && ! ibv_devinfo >/dev/null 2>&1; then
        finding wrong RDMA "ibv_devinfo finds no device, expected ${active[*]}: in a container, start it with --host_network"
    fi
    limit=$(ulimit -l)
    if [ "$limit" = unlimited ]; then
        finding ok "locked memory" unlimited
    else
        finding wrong "locked memory" "at most $limit KiB, expected unlimited: ulimit -l unlimited (memlock in /etc/security/limits.conf)"
    fi
}

check_port() {
    local output code=0
    output=$(LC_ALL=C timeout 3 bash -c "exec 3<>/dev/tcp/$peer/$port" 2>&1) || code=$?
    if [ "$code" = 0 ]; then
        finding ok port "$peer answers on $port"
    elif [[ $output == *refused* ]]; then
        finding ok port "$peer can be reached; nothing runs on its port $port now"
    else
        finding wrong port "no answer from $peer on $port, expected one, or a refusal: open all TCP ports between the machines in their firewalls"
    fi
}

sums() {
    local master=$peer
    [ "$node_rank" = 1 ] || master=${address_here:-ADDRESS_OF_THIS_MACHINE}
    run=("$bin/distributed.sh" --script "$(dirname "$bin")/benchmarks/bench_allreduce.py" --nnodes 2 --node-rank "$node_rank"
        --master "$master" --port "$port" --interface "${interface:-INTERFACE}")
    [ -z "$hca" ] || run+=(--hca "$hca")
    [ -z "$socket" ] || run+=(--socket)
    run+=(--at_least "$bandwidth" --out "${TMPDIR:-/tmp}/genet5_allreduce_$(id -u).json" "${bench[@]}")
    printf '%q ' "${run[@]}" && echo
}

if [ -n "$dry_run" ]; then
    printf '%s\n' "ip -o route get $peer" "ip -o link show dev ${interface:-INTERFACE}" "${ping[*]}" "ethtool ${interface:-INTERFACE}"
    [ -n "$socket" ] || printf '%s\n' "grep . /sys/class/infiniband/*/ports/*/state" ibv_devinfo "ulimit -l"
    echo "timeout 3 bash -c 'exec 3<>/dev/tcp/$peer/$port'"
    [ -z "$bandwidth" ] || sums
    exit 0
fi

command -v ip >/dev/null || { echo "check_network.sh: ip is missing (Debian: apt-get install iproute2)" >&2; exit 1; }
find_route
check_mtu
check_jumbo
check_speed
[ -n "$socket" ] || check_rdma
check_port
if [ -n "$bandwidth" ]; then
    sums
    if "${run[@]}"; then
        finding ok bandwidth "at least $bandwidth GB/s"
    else
        finding wrong bandwidth "no sums at $bandwidth GB/s, expected them (see above): NCCL_DEBUG=INFO shows what NCCL uses"
    fi
fi
exit "$failed"
