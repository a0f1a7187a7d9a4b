#!/usr/bin/env bash
# HBase's Thrift 1 server, for the HBase that hbase.sh starts; fills dim_hbase.  thrift.sh start|stop|status|kill
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
source "$here/hbase/java.sh"

server=thrift
port="$THRIFT_PORT"
mark="-Dsluice.service=thrift-$THRIFT_PORT"

# Putting the rows again changes nothing, and only a server with HBase behind it takes them.
seeded() {
  port_open "$THRIFT_PORT" \
    && python3 "$here/hbase/put.py" "$THRIFT_PORT" dim_hbase <"$here/../../demo/dimensions/dim_hbase.csv" \
      >"$SERVICES_DATA/thrift-seed.log" 2>&1
}

start() {
  if ! alive; then
    need_ports "$port"
    jars hbase
    hbase_java 256m org.apache.hadoop.hbase.thrift.ThriftServer start
  fi
  wait_ready seeded
}
main "$@"
