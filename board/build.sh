#!/usr/bin/env bash
# build.sh DIRECTORY: checks the pages' sources, runs their tests, and builds their files into the directory.
#
# Packages are kept in the cache, outside of the clone, and the sources are copied beside them: that is where compilers look for them.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
into="$(mkdir -p "$1" && cd "$1" && pwd)"
stage="${SLUICE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/sluice}/board"

node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 20 || (a === 20 && b >= 19) ? 0 : 1)' 2>/dev/null \
  || { echo "the board's pages are built with Node 20.19 or later and npm; whoever only builds the host needs neither" >&2; exit 1; }

mkdir -p "$stage"
exec 9>"$stage/lock"
flock 9
cd "$stage"
if ! cmp -s "$here/package-lock.json" installed.json; then
  rm -f installed.json
  cp "$here/package.json" "$here/package-lock.json" .
  npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
  cp package-lock.json installed.json
fi
rm -rf src css test build
cp -r "$here/." .
npm run --silent check
npm run --silent test
npm run --silent build -- "$into"
