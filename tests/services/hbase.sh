#!/usr/bin/env bash
# HBase in one process, with its own ZooKeeper, on the local file system.  hbase.sh start|stop|status|kill
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
source "$here/hbase/java.sh"

data="$SERVICES_DATA/hbase"
server=hbase
port="$HBASE_RS_PORT"
mark="-Dsluice.service=hbase-$HBASE_ZK_PORT"

# Thrift closes connections that are idle for 3 s, not 60: a test waits for that, and all tests meet it.
configure() {
  mkdir -p "$data/conf" "$data/root" "$data/zookeeper" "$data/tmp"
  {
    echo '<?xml version="1.0"?><configuration>'
    while read -r name value; do
      echo "<property><name>$name</name><value>$value</value></property>"
    done
    echo '</configuration>'
  } >"$data/conf/hbase-site.xml" <<P
hbase.cluster.distributed false
hbase.rootdir file://$data/root
hbase.tmp.dir $data/tmp
hbase.unsafe.stream.capability.enforce false
hbase.wal.provider filesystem
hbase.zookeeper.quorum 127.0.0.1
hbase.zookeeper.property.clientPort $HBASE_ZK_PORT
hbase.zookeeper.property.dataDir $data/zookeeper
hbase.zookeeper.property.tickTime 6000
zookeeper.session.timeout 90000
zookeeper.session.timeout.localHBaseCluster 90000
hbase.master.hostname localhost
hbase.unsafe.regionserver.hostname localhost
hbase.master.ipc.address 127.0.0.1
hbase.regionserver.ipc.address 127.0.0.1
hbase.master.port $HBASE_MASTER_PORT
hbase.regionserver.port $HBASE_RS_PORT
hbase.localcluster.assign.random.ports false
hbase.master.info.port -1
hbase.regionserver.info.port -1
hbase.thrift.info.port -1
hbase.master.wait.on.regionservers.maxtostart 1
hbase.regionserver.handler.count 10
hbase.regionserver.thrift.port $THRIFT_PORT
hbase.regionserver.thrift.ipaddress 127.0.0.1
hbase.thrift.server.socket.read.timeout 3000
P
}

ready() { grep -q 'Master has completed initialization' "$log" && port_open "$HBASE_RS_PORT"; }

start() {
  if ! alive; then
    need_ports "$HBASE_ZK_PORT" "$HBASE_MASTER_PORT" "$HBASE_RS_PORT"
    jars hbase
    configure
    hbase_java 512m org.apache.hadoop.hbase.master.HMaster start
  fi
  wait_ready ready
}
main "$@"
