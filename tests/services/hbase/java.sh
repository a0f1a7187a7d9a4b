# The Java command line that HBase and its Thrift server share; sourced, not run.
# shellcheck shell=bash

# hbase_java NAME MARK HEAP CLASS ARGUMENT…
hbase_java() {
  local name="$1" mark="$2" heap="$3"; shift 3
  launch "$name" java -Xms"$heap" -Xmx"$heap" -XX:+UseG1GC -XX:+ExitOnOutOfMemoryError -Djava.awt.headless=true \
    -Djava.net.preferIPv4Stack=true --add-opens java.base/java.nio=ALL-UNNAMED "$mark" \
    -cp "$SERVICES_DATA/hbase/conf:$here/hbase:$jars/*" "$@"
}
