#!/usr/bin/env bash
# Another Thrift 1 server for the HBase that hbase.sh starts, which speaks otherwise: VARIANT is framed or compact, and
# THRIFT_PORT the port.  VARIANT=framed THRIFT_PORT=9191 thrift-variant.sh start|stop|status|kill
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
source "$here/hbase/java.sh"

: "${VARIANT:?is framed or compact}"
server="thrift-$VARIANT-$THRIFT_PORT"
port="$THRIFT_PORT"
mark="-Dsluice.service=$server"

start() {
  if ! alive; then
    need_ports "$port"
    jars hbase
    hbase_java 128m org.apache.hadoop.hbase.thrift.ThriftServer -p "$port" --infoport -1 "--$VARIANT" start
  fi
  wait_ready port_open "$port"
}
main "$@"
