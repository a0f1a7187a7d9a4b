#!/usr/bin/env bash
# A MariaDB of its own, beside any that the machine runs.  mariadb.sh start|stop|status
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

data="$SERVICES_DATA/mariadb"
mark="--datadir=$data"
# Run by root, the server insists on being told so; as another user it might not reach the data.
as=(--user="$(id -un)")

install() {
  if command -v mariadbd >/dev/null && command -v mariadb >/dev/null; then return; fi
  local sudo=()
  if [ "$(id -u)" != 0 ]; then sudo=(sudo); fi
  "${sudo[@]}" apt-get update -q >&2
  # The package would start a server on port 3306; this forbids it while it is being installed.
  "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -q --no-install-recommends mariadb-server >&2
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

ready() {
  MYSQL_PWD="$MARIADB_PASSWORD" mariadb --no-defaults --protocol=TCP -h 127.0.0.1 -P "$MARIADB_PORT" -u root livedb \
    -e 'SELECT 1' >/dev/null 2>&1
}

start() {
  if ! alive mariadb "$mark"; then
    need_ports "$MARIADB_PORT"
    install
    initialise
    launch mariadb mariadbd --no-defaults "${as[@]}" "$mark" --bind-address=127.0.0.1 --port="$MARIADB_PORT" \
      --socket="$data/mariadb.sock" --pid-file="$data/mariadbd.pid" --init-file="$data/accounts.sql" \
      --character-set-server=utf8mb4 --skip-name-resolve --innodb-buffer-pool-size=256M --max-connections=300
  fi
  wait_ready mariadb ready
}
stop() { stop_one mariadb "$mark"; }
status() { say_status mariadb "$mark" "127.0.0.1:$MARIADB_PORT"; }
main "$@"
