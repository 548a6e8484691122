#!/bin/sh
# A mesh of two workers on this machine, without a network: one is asked, killed, and the other one answers.
#
#   npm install qmesh
#   sh two-nodes.sh
set -eu
PATH=$PWD/node_modules/.bin:$PATH
dir=$(mktemp -d)
# What all of its nodes have in common. The secret keeps everybody else out.
export QMESH_HOST=127.0.0.1 QMESH_MDNS=false QMESH_SECRET="two nodes $$" QMESH_STAMP_BITS=0
export QMESH_GATEWAY=false QMESH_PAUSE_WHEN_BUSY=false QMESH_LOG_LEVEL=fatal
# They share the processor: a thread too many costs more than it brings.
export QMESH_THREADS=1
# Any GGUF file will do. Under its own name, nano, everybody has this one, and would not ask others for it.
cp node_modules/qmesh/models/nano/qmesh-nano.gguf "$dir/small.gguf"

running=
end() {
  for pid in $running; do kill "$pid" 2>/dev/null || true; done
  wait
  rm -rf "$dir"
}
trap end EXIT

# Starts a command in the background and waits until it prints something; its process is then known as $pid.
start() {
  name=$1
  shift
  qmesh-node "$@" >"$dir/$name" 2>"$dir/$name.log" &
  pid=$!
  running="$pid $running"
  until [ -s "$dir/$name" ]; do
    kill -0 $pid 2>/dev/null || { cat "$dir/$name.log" >&2; exit 1; }
    sleep 0.1
  done
}

ask() {
  qmesh-node ask --model small --data-dir "$dir/data-three" --stats "$1" 2>"$dir/stats"
  tail -n 1 "$dir/stats"
}

start bootstrap bootstrap --port 0
QMESH_BOOTSTRAP=$(head -n 1 "$dir/bootstrap")
export QMESH_BOOTSTRAP
echo "meeting point: $QMESH_BOOTSTRAP"

# `--json` prints when the model is ready, and what is printed has the node's id in it.
start one up --json --model "$dir/small.gguf" --data-dir "$dir/data-one"
one=$pid
start two up --json --model "$dir/small.gguf" --data-dir "$dir/data-two"
two=$pid
echo "the workers that a third one finds:"
qmesh-node workers --data-dir "$dir/data-three"

echo "a question:"
ask "What is QMesh?"

worker=$(sed -n 's/.* on \([0-9a-f]*\).*/\1/p' "$dir/stats")
if grep -q "\"$worker" "$dir/one"; then killed=$one; else killed=$two; fi
echo "worker $worker is killed; the same question:"
kill -9 "$killed"
wait "$killed" 2>/dev/null || true
ask "What is QMesh?"
