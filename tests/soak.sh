#!/usr/bin/env bash
# soak.sh MINUTES [SEED]: simulated worlds from new seeds, then storms on real servers until the time is up; with a seed, that
# storm alone. Run through tests/services/with, as `make soak MINUTES=n` does. Ends at the first failure, with what repeats it.
set -euo pipefail
minutes="${1:?minutes}" seed="${2:-}"
if [ -z "$seed" ]; then
  SLUICE_SEEDS=10000 cargo test --release --test simulation whatever
fi
cargo run --release --bin soak -- --minutes "$minutes" ${seed:+--seed "$seed"}
