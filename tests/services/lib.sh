# What the servers' scripts share; sourced, not run. A script defines start, stop and status, then calls `main "$@"`.
#
# SERVICES_DATA is the directory of data, logs and process ids: another one, with other ports, is another set of servers.
# Downloads are shared by all sets, under SLUICE_CACHE.
# shellcheck shell=bash
set -euo pipefail

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
SLUICE_CACHE="${SLUICE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/sluice}"
downloads="$SLUICE_CACHE/services"
SERVICES_DATA="${SERVICES_DATA:-$downloads/data}"

KAFKA_PORT="${KAFKA_PORT:-9092}"
KAFKA_CONTROLLER_PORT="${KAFKA_CONTROLLER_PORT:-9093}"
MARIADB_PORT="${MARIADB_PORT:-3306}"
MARIADB_PASSWORD="${MARIADB_PASSWORD:-sluice}"
HBASE_ZK_PORT="${HBASE_ZK_PORT:-2181}"
HBASE_MASTER_PORT="${HBASE_MASTER_PORT:-16000}"
HBASE_RS_PORT="${HBASE_RS_PORT:-16020}"
THRIFT_PORT="${THRIFT_PORT:-9090}"

start_timeout=120
stop_timeout=90

fail() { echo "$*" >&2; exit 1; }

# alive NAME MARK: the server that was started as NAME still runs; sets `pid`. A recorded process id counts only while
# MARK is one of that process's arguments, since ids are used again.
alive() {
  local file="$SERVICES_DATA/$1.pid"
  [ -s "$file" ] || return 1
  pid="$(<"$file")"
  grep -qzxF -- "$2" "/proc/$pid/cmdline" 2>/dev/null
}

port_open() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# need_ports PORT…: all of them are free.
need_ports() {
  local port
  for port in "$@"; do
    if port_open "$port"; then fail "port $port is taken by another program; set another one (see tests/services/lib.sh)"; fi
  done
}

# launch NAME COMMAND…: starts the server in a session of its own, with its output in NAME.log; sets `pid`.
launch() {
  local name="$1"; shift
  setsid nohup "$@" >"$SERVICES_DATA/$name.log" 2>&1 </dev/null &
  pid=$!
  echo "$pid" >"$SERVICES_DATA/$name.pid"
}

# wait_ready NAME COMMAND…: until the command succeeds, the server `pid` dies, or the time is up.
wait_ready() {
  local name="$1" end=$((SECONDS + start_timeout)); shift
  until "$@"; do
    kill -0 "$pid" 2>/dev/null || { tail -20 "$SERVICES_DATA/$name.log" >&2; fail "$name ended; all of its log is in $SERVICES_DATA/$name.log"; }
    ((SECONDS < end)) || fail "$name isn't ready after $start_timeout s; its log is $SERVICES_DATA/$name.log"
    sleep 0.1
  done
}

# stop_one NAME MARK: ends the server and waits for its end.
stop_one() {
  local end=$((SECONDS + stop_timeout))
  if alive "$1" "$2"; then kill -TERM "$pid"; fi
  while alive "$1" "$2"; do
    ((SECONDS < end)) || fail "$1 (process $pid) didn't stop within $stop_timeout s"
    sleep 0.1
  done
  rm -f "$SERVICES_DATA/$1.pid"
}

# say_status NAME MARK WHERE: prints one line; fails if it doesn't run.
say_status() {
  if alive "$1" "$2"; then echo "$1 runs on $3, process $pid, $(awk '/VmRSS/ {print int($2 / 1024)}' "/proc/$pid/status") MiB"
  else echo "$1 doesn't run"; return 3; fi
}

# jars NAME: the jars that NAME/pom.xml lists, downloaded once; sets `jars` to their directory.
jars() {
  local pom="$here/$1/pom.xml"
  jars="$downloads/$1-$(cksum <"$pom" | cut -d' ' -f1)"
  [ -d "$jars" ] && return
  mkdir -p "$downloads"
  (
    flock 9
    [ -d "$jars" ] && exit
    rm -rf "$jars.part"
    mvn -B -ntp -q -Dstyle.color=never -f "$pom" dependency:copy-dependencies -DoutputDirectory="$jars.part" -DincludeScope=runtime
    mv "$jars.part" "$jars"
  ) 9>"$downloads/lock"
}

main() {
  case "${1:-}" in
    start|stop|status) mkdir -p "$SERVICES_DATA"; "$1" ;;
    *) echo "usage: $0 start|stop|status" >&2; exit 64 ;;
  esac
}
