#!/usr/bin/env bash
# Every server at once.  all.sh start|stop|status|kill|env
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# each ACTION SCRIPT…: side by side; fails if one does.
each() {
  local action="$1" script job jobs=() failed=0; shift
  for script in "$@"; do "$here/$script.sh" "$action" & jobs+=($!); done
  for job in "${jobs[@]}"; do wait "$job" || failed=$?; done
  return "$failed"
}

hbase_then_thrift() { "$here/hbase.sh" start && "$here/thrift.sh" start; }

# The browser after MariaDB: apt does one thing at a time.
start() {
  hbase_then_thrift & local thrift=$!
  each start kafka mariadb mysql
  "$here/browser.sh" install
  wait "$thrift"
}
stop() {
  "$here/thrift.sh" stop
  each stop kafka mariadb mysql hbase
}
status() { each status kafka mariadb mysql hbase thrift; }
kill_now() { each kill kafka mariadb mysql hbase thrift; }

# What tests and benchmarks need to know, as shell commands; the rest is for scripts that stop and start servers.
environment() {
  local name
  for name in SERVICES_DATA KAFKA_PORT KAFKA_CONTROLLER_PORT KAFKA_SASL_PORT MARIADB_PORT MYSQL_PORT HBASE_ZK_PORT HBASE_MASTER_PORT \
    HBASE_RS_PORT THRIFT_PORT; do
    echo "export $name=${!name}"
  done
  echo "export SLUICE_TEST_KAFKA=127.0.0.1:$KAFKA_PORT"
  echo "export SLUICE_TEST_KAFKA_SASL=$KAFKA_USER:$KAFKA_PASSWORD@127.0.0.1:$KAFKA_SASL_PORT"
  echo "export SLUICE_TEST_MARIADB=mysql://root:$MARIADB_PASSWORD@127.0.0.1:$MARIADB_PORT/livedb"
  echo "export SLUICE_TEST_MYSQL=mysql://root:$MYSQL_PASSWORD@127.0.0.1:$MYSQL_PORT/livedb"
  echo "export SLUICE_TEST_MYSQL_CA=$SERVICES_DATA/mysql/ca.pem"
  echo "export SLUICE_TEST_HBASE=127.0.0.1:$THRIFT_PORT"
}

if [ "${1:-}" = env ]; then environment; else main "$@"; fi
