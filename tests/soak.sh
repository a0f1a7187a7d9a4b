#!/usr/bin/env bash
# soak.sh MINUTES: simulated worlds from ever new seeds, and the real servers' outages and kills, again and again.
# Run through tests/services/with, as `make soak MINUTES=n` does. Ends at the first failure, with what repeats it.
set -euo pipefail
end=$((SECONDS + ${1:?minutes} * 60))
rounds=0
while [ "$SECONDS" -lt "$end" ]; do
  SLUICE_SEEDS=2000 cargo test --release --test simulation whatever
  cargo test --release --test disturbed
  rounds=$((rounds + 1))
  echo "soak: $rounds rounds, $(((end - SECONDS) / 60)) minutes left"
done
