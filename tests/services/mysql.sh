#!/usr/bin/env bash
# A MySQL of its own, from Debian's suite sid, with that suite's libraries: nothing is installed.  mysql.sh start|stop|status|kill
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

data="$SERVICES_DATA/mysql"
server=mysql
port="$MYSQL_PORT"
mark="--datadir=$data"
# Run by root, the server insists on being told so.
as=(--user="$(id -un)")

# The series that the tests are for. The suite has one version at a time, and its archive no older ones: a later series is taken as well,
# and said at each start, so that nobody tests with one unawares. A version that is downloaded stays.
series=9.7
suite=sid
software="$downloads/mysql-$series"
keys=/usr/share/keyrings/debian-archive-keyring.gpg
# What the server's package needs for its scripts, and not for the server.
unneeded='^(perl|libperl|libgdbm|libdb5|debconf)'

# apt with that suite alone, and apart from the machine's own packages; from the mirror that those come from.
configure_apt() {
  local mirror own="$software.part/apt"
  mkdir -p "$own"/{lists/partial,cache/archives/partial}
  mirror="$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' 'Label: Debian' | sed -n 1p)"
  echo "deb [signed-by=$keys] ${mirror:-http://deb.debian.org/debian} $suite main" >"$own/sources.list"
  cat >"$own/apt.conf" <<C
Dir::Etc::sourcelist "$own/sources.list";
Dir::Etc::sourceparts "-";
Dir::State::Lists "$own/lists";
Dir::Cache "$own/cache";
C
  export APT_CONFIG="$own/apt.conf"
}

# apt checks what it downloads by the archive's signature.
download() {
  local package packages="$software.part/packages"
  rm -rf "$software.part"
  mkdir -p "$packages" "$software.part/root"
  configure_apt
  apt-get -q --error-on=any update
  apt-cache show mysql-server-core | sed -n 's/^Version: //p' | sed -n 1p >"$software.part/root/version"
  apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces --no-enhances \
    "mysql-server-core/$suite" | grep '^[a-z]' | grep -Ev "$unneeded" | sort -u | sed "s|\$|/$suite|" >"$packages/names"
  (cd "$packages" && xargs apt-get -q download <names)
  for package in "$packages"/*.deb; do dpkg -x "$package" "$software.part/root"; done
  mv "$software.part/root" "$software"
  rm -rf "$software.part"
}

install() {
  [ -d "$software" ] && return
  local why="$downloads/mysql-download.log"
  mkdir -p "$downloads"
  (
    flock 9
    [ -d "$software" ] && exit
    # In a process that is waited for, its first failure is its end.
    download >"$why" 2>&1 </dev/null 9>&- &
    wait $! || fail "MySQL $series can't be had from Debian's suite $suite, where tests take it from; $why says why"
  ) 9>"$downloads/lock"
}

# The command that runs a program of that suite, by its own loader; sets `run`.
find_programs() {
  local loader libraries
  loader="$(find "$software" -name 'ld-linux*.so.*' | sed -n 1p)"
  libraries="$(dirname "$(find "$software" -name 'libc.so.6' | sed -n 1p)")"
  run=("$loader" --library-path "$libraries")
}

mysqld() {
  "$@" "${run[@]}" "$software/usr/sbin/mysqld" --no-defaults "${as[@]}" "$mark" --basedir="$software/usr" \
    --lc-messages-dir="$software/usr/share/mysql" "${options[@]}"
}

# Accounts, and the zone of the original's sessions: a new server knows none by name.
initialise() {
  [ -d "$data/mysql" ] && return
  rm -rf "$data"
  {
    cat <<SQL
ALTER USER 'root'@'localhost' IDENTIFIED BY '$MYSQL_PASSWORD';
CREATE USER 'root'@'127.0.0.1' IDENTIFIED BY '$MYSQL_PASSWORD';
GRANT ALL PRIVILEGES ON *.* TO 'root'@'127.0.0.1' WITH GRANT OPTION;
CREATE DATABASE livedb CHARACTER SET utf8mb4;
USE mysql;
SQL
    "${run[@]}" "$software/usr/bin/mysql_tzinfo_to_sql" /usr/share/zoneinfo/Asia/Shanghai Asia/Shanghai
  } >"$SERVICES_DATA/mysql-accounts.sql"
  local options=(--initialize-insecure --init-file="$SERVICES_DATA/mysql-accounts.sql") why="$SERVICES_DATA/mysql-install.log"
  mysqld env >"$why" 2>&1 || { cat "$why" >&2; rm -rf "$data"; fail "MySQL's data can't be made"; }
}

say_if_other() {
  local version
  version="$(cat "$software/version" 2>/dev/null || echo "$series.")"
  [[ $version == "$series".* ]] || echo "MySQL is $version; the tests are written for $series" >&2
}

ready() { grep -q 'ready for connections' "$log" && port_open "$port"; }

# With what people's servers have: encrypted sessions, caching_sha2_password, a binary log, 151 connections. But a commit doesn't wait for the
# disk: it is there after the server was killed, which is all that tests do, and they are done sooner.
start() {
  if ! alive; then
    need_ports "$port"
    install
    say_if_other
    find_programs
    initialise
    # A server that was killed leaves the lock of its socket, and another process may have its number by now.
    rm -f "$data/mysql.sock" "$data/mysql.sock.lock"
    local options=(--plugin-dir="$software/usr/lib/mysql/plugin" --bind-address=127.0.0.1 --port="$port" --mysqlx=OFF
      --socket="$data/mysql.sock" --pid-file="$data/mysqld.pid" --secure-file-priv=NULL --innodb-buffer-pool-size=256M
      --innodb-flush-log-at-trx-commit=2 --sync-binlog=0)
    mysqld launch
  fi
  wait_ready ready
}
main "$@"
