#!/bin/sh
# rollout.sh DEFINITION HOST...: change the hosts one after the other and stop at the first that is not kept.
# Run it again to go on: a host that has the change is left alone.
set -u
definition=$1
shift
for host; do
  kvmnet remote "$host" "$definition" apply --yes
  code=$?
  if [ "$code" -ne 0 ]; then
    echo "stopped at $host: exit code $code" >&2
    exit "$code"
  fi
done
