# What the servers' scripts share; sourced, not run. A script sets server (its name), port and mark, defines start,
# and calls `main "$@"`.
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
KAFKA_SASL_PORT="${KAFKA_SASL_PORT:-9094}"
KAFKA_USER="${KAFKA_USER:-sluice}"
KAFKA_PASSWORD="${KAFKA_PASSWORD:-sluice}"
MARIADB_PORT="${MARIADB_PORT:-3306}"
MARIADB_PASSWORD="${MARIADB_PASSWORD:-sluice}"
# Not empty: MariaDB takes encrypted sessions, too. Drivers then prefer them, so the servers of tests and benchmarks have none.
MARIADB_TLS="${MARIADB_TLS:-}"
MYSQL_PORT="${MYSQL_PORT:-3307}"
MYSQL_PASSWORD="${MYSQL_PASSWORD:-sluice}"
HBASE_ZK_PORT="${HBASE_ZK_PORT:-2181}"
HBASE_MASTER_PORT="${HBASE_MASTER_PORT:-16000}"
HBASE_RS_PORT="${HBASE_RS_PORT:-16020}"
THRIFT_PORT="${THRIFT_PORT:-9090}"

# Generous: a busy machine is no failure, and a server that has died is noticed at once.
start_timeout=300
stop_timeout=90

fail() { echo "$*" >&2; exit 1; }

# The server of this script runs; sets `pid`. A recorded process id counts only while `mark` is one of that process's
# arguments, since ids are used again.
alive() {
  [ -s "$SERVICES_DATA/$server.pid" ] || return 1
  pid="$(<"$SERVICES_DATA/$server.pid")"
  grep -qzxF -- "$mark" "/proc/$pid/cmdline" 2>/dev/null
}

port_open() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# need_ports PORT…: all of them are free.
need_ports() {
  local port
  for port in "$@"; do
    if port_open "$port"; then fail "port $port is taken by another program; set another one (see tests/services/lib.sh)"; fi
  done
}

# launch COMMAND…: starts the server in a session of its own, with its output in a log; sets `pid`.
launch() {
  setsid nohup "$@" >"$log" 2>&1 </dev/null &
  pid=$!
  echo "$pid" >"$SERVICES_DATA/$server.pid"
  # Until the command has replaced this shell, the process has the shell's arguments.
  until alive || ! kill -0 "$pid" 2>/dev/null; do sleep 0.01; done
}

# wait_ready COMMAND…: until the command succeeds, the server dies, or the time is up.
wait_ready() {
  local end=$((SECONDS + start_timeout))
  until "$@"; do
    # A process that is being replaced by its command has no arguments for a moment, and hasn't ended.
    alive || ! ended || { tail -20 "$log" >&2; fail "$server ended; all of its log is in $log"; }
    ((SECONDS < end)) || fail "$server isn't ready after $start_timeout s; its log is $log"
    sleep 0.1
  done
}

# The process `pid` has ended: none of its threads is anything but a zombie. The first one may be one long before the last
# has let go of the ports.
ended() { ! grep -qs '^State:[[:space:]]*[^ZX[:space:]]' "/proc/$pid/task/"*/status; }

# Ends the server and waits for its end.
stop() {
  local end=$((SECONDS + stop_timeout))
  if alive; then
    kill -TERM "$pid"
    until ended; do
      ((SECONDS < end)) || fail "$server (process $pid) didn't stop within $stop_timeout s"
      sleep 0.1
    done
  fi
  rm -f "$SERVICES_DATA/$server.pid"
}

# Ends the server at once, and waits until its ports are free; its data may be left broken.
kill_now() {
  if alive; then
    kill -KILL "$pid"
    until ended; do sleep 0.01; done
  fi
  rm -f "$SERVICES_DATA/$server.pid"
}

# The server answers nothing, and keeps its connections.
freeze() { if alive; then kill -STOP "$pid"; else fail "$server doesn't run"; fi; }

# Ends a freeze.
thaw() { if alive; then kill -CONT "$pid"; else fail "$server doesn't run"; fi; }

status() {
  if alive; then echo "$server runs on port $port, process $pid, $(awk '/VmRSS/ {print int($2 / 1024)}' "/proc/$pid/status") MiB"
  else echo "$server doesn't run"; return 3; fi
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

# main ACTION
main() {
  mkdir -p "$SERVICES_DATA"
  log="$SERVICES_DATA/${server:-all}.log"
  case "${1:-}" in
    start|stop|status|freeze|thaw) "$1" ;;
    kill) kill_now ;;
    *) echo "usage: $0 start|stop|status|kill|freeze|thaw" >&2; exit 64 ;;
  esac
}
