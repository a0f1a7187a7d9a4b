# The Java command line that HBase and its Thrift server share; sourced, not run.
# shellcheck shell=bash

# hbase_java HEAP CLASS ARGUMENT…
hbase_java() {
  local heap="$1"; shift
  launch java -Xms"$heap" -Xmx"$heap" -XX:+UseG1GC -XX:+ExitOnOutOfMemoryError -Djava.awt.headless=true \
    -Djava.net.preferIPv4Stack=true --add-opens java.base/java.nio=ALL-UNNAMED "$mark" \
    -cp "$SERVICES_DATA/hbase/conf:$here/hbase:$jars/*" "$@"
}
