#!/usr/bin/env bash
# A Kafka of one node, without ZooKeeper, with one listener for everybody and one for those with a password.  kafka.sh start|stop|status|kill
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

data="$SERVICES_DATA/kafka"
server=kafka
port="$KAFKA_PORT"
mark="-Dsluice.service=kafka-$KAFKA_PORT"
# Any id does; a fixed one makes formatting repeatable.
cluster_id=c2x1aWNlLXRlc3Qta2Fma2E

configure() {
  mkdir -p "$data"
  cat >"$data/server.properties" <<P
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$KAFKA_CONTROLLER_PORT
listeners=PLAINTEXT://127.0.0.1:$KAFKA_PORT,SASL_PLAINTEXT://127.0.0.1:$KAFKA_SASL_PORT,CONTROLLER://127.0.0.1:$KAFKA_CONTROLLER_PORT
advertised.listeners=PLAINTEXT://127.0.0.1:$KAFKA_PORT,SASL_PLAINTEXT://127.0.0.1:$KAFKA_SASL_PORT
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT
sasl.enabled.mechanisms=PLAIN
listener.name.sasl_plaintext.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_$KAFKA_USER="$KAFKA_PASSWORD";
log.dirs=$data/logs
# A reader that asks for a missing topic must not make it.
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=8
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=8
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
log.cleaner.dedupe.buffer.size=33554432
P
}

# Kafka says so once its broker is unfenced and every listener takes requests.
ready() { grep -q 'Kafka Server started' "$log" && port_open "$KAFKA_PORT"; }

start() {
  if ! alive; then
    need_ports "$port" "$KAFKA_CONTROLLER_PORT" "$KAFKA_SASL_PORT"
    jars kafka
    configure
    local classpath="$here/kafka:$jars/*"
    [ -f "$data/logs/meta.properties" ] \
      || java -Xmx256m -cp "$classpath" kafka.tools.StorageTool format -t "$cluster_id" -c "$data/server.properties" \
        >"$SERVICES_DATA/kafka-format.log" 2>&1 || { cat "$SERVICES_DATA/kafka-format.log" >&2; fail "Kafka's storage can't be formatted"; }
    launch java -Xms512m -Xmx512m -XX:+UseG1GC -XX:+ExitOnOutOfMemoryError -Djava.awt.headless=true "$mark" \
      -cp "$classpath" kafka.Kafka "$data/server.properties"
  fi
  wait_ready ready
}
main "$@"
