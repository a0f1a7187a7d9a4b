#!/usr/bin/env bash
# HBase's Thrift 1 server, for the HBase that hbase.sh starts; fills dim_hbase.  thrift.sh start|stop|status
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
source "$here/hbase/java.sh"

mark="-Dsluice.service=thrift-$THRIFT_PORT"

# Putting the rows again changes nothing, and only a server with HBase behind it takes them.
seeded() {
  port_open "$THRIFT_PORT" \
    && python3 "$here/hbase/put.py" "$THRIFT_PORT" dim_hbase <"$here/../../demo/dimensions/dim_hbase.csv" \
      >"$SERVICES_DATA/thrift-seed.log" 2>&1
}

start() {
  if ! alive thrift "$mark"; then
    need_ports "$THRIFT_PORT"
    jars hbase
    hbase_java thrift "$mark" 256m org.apache.hadoop.hbase.thrift.ThriftServer start
  fi
  wait_ready thrift seeded
}
stop() { stop_one thrift "$mark"; }
status() { say_status thrift "$mark" "127.0.0.1:$THRIFT_PORT"; }
main "$@"
