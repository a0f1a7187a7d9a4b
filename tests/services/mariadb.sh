#!/usr/bin/env bash
# A MariaDB of its own, beside any that the machine runs.  mariadb.sh start|stop|status|kill
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

data="$SERVICES_DATA/mariadb"
server=mariadb
port="$MARIADB_PORT"
mark="--datadir=$data"
# Run by root, the server insists on being told so; as another user it might not reach the data.
as=(--user="$(id -un)")

install() {
  if command -v mariadbd >/dev/null && command -v mariadb >/dev/null && command -v openssl >/dev/null; then return; fi
  local sudo=()
  if [ "$(id -u)" != 0 ]; then sudo=(sudo); fi
  "${sudo[@]}" apt-get update -q >&2
  # The package would start a server on port 3306; this forbids it while it is being installed.
  "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -q --no-install-recommends mariadb-server openssl tzdata >&2
}

initialise() {
  mkdir -p "$data"
  [ -d "$data/mysql" ] \
    || mariadb-install-db --no-defaults "${as[@]}" --datadir="$data" --auth-root-authentication-method=normal --skip-test-db \
      >"$SERVICES_DATA/mariadb-install.log" 2>&1 || { cat "$SERVICES_DATA/mariadb-install.log" >&2; fail "MariaDB's data can't be made"; }
  # Run by the server itself at each start, before it takes connections.
  cat >"$data/accounts.sql" <<SQL
ALTER USER 'root'@'localhost' IDENTIFIED BY '$MARIADB_PASSWORD';
CREATE USER IF NOT EXISTS 'root'@'127.0.0.1';
ALTER USER 'root'@'127.0.0.1' IDENTIFIED BY '$MARIADB_PASSWORD';
GRANT ALL PRIVILEGES ON *.* TO 'root'@'127.0.0.1' WITH GRANT OPTION;
CREATE DATABASE IF NOT EXISTS livedb CHARACTER SET utf8mb4;
SQL
}

# An authority, and the server's certificate by it, which names 127.0.0.1 and nothing else; sets `encryption`, what the server
# is told of them.
encryption=()
certify() {
  local tls="$SERVICES_DATA/tls"
  local key=(-newkey rsa:2048 -nodes -days 3650)
  encryption=(--ssl-ca="$tls/ca.pem" --ssl-cert="$tls/server.pem" --ssl-key="$tls/server.key")
  if [ -f "$tls/server.pem" ]; then return; fi
  mkdir -p "$tls"
  {
    openssl req -x509 "${key[@]}" -subj "/CN=Sluice's tests" -keyout "$tls/ca.key" -out "$tls/ca.pem" \
      && openssl req "${key[@]}" -subj /CN=127.0.0.1 -keyout "$tls/server.key" -out "$tls/server.csr" \
      && openssl x509 -req -in "$tls/server.csr" -CA "$tls/ca.pem" -CAkey "$tls/ca.key" -CAcreateserial -days 3650 \
        -extfile <(echo subjectAltName=IP:127.0.0.1) -out "$tls/server.pem"
  } >"$tls/log" 2>&1 || { cat "$tls/log" >&2; fail "MariaDB's certificate can't be made"; }
}

# Without encryption, also where the server has it.
sql() {
  MYSQL_PWD="$MARIADB_PASSWORD" mariadb --no-defaults --skip-ssl --protocol=TCP -h 127.0.0.1 -P "$port" -u root "$@"
}
ready() { sql livedb -e 'SELECT 1' >/dev/null 2>&1; }

# The zone of the original's sessions; a new server knows none by name.
name_zone() {
  [ "$(sql -N -e 'SELECT COUNT(*) FROM mysql.time_zone_name')" != 0 ] \
    || mariadb-tzinfo-to-sql --skip-write-binlog /usr/share/zoneinfo/Asia/Shanghai Asia/Shanghai | sql mysql
}

start() {
  if ! alive; then
    need_ports "$port"
    install
    initialise
    if [ -n "$MARIADB_TLS" ]; then certify; fi
    launch mariadbd --no-defaults "${as[@]}" "$mark" --bind-address=127.0.0.1 --port="$port" \
      --socket="$data/mariadb.sock" --pid-file="$data/mariadbd.pid" --init-file="$data/accounts.sql" \
      --character-set-server=utf8mb4 --skip-name-resolve --innodb-buffer-pool-size=256M --max-connections=300 \
      "${encryption[@]}"
  fi
  wait_ready ready
  name_zone
}
main "$@"
