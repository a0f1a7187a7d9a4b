#!/usr/bin/env python3
"""put.py PORT TABLE <rows.csv: makes the table if it is missing and puts the rows through HBase's Thrift 1 server.

The file's first line is `rowkey,FAMILY:COLUMN,…`. Speaks Thrift's binary protocol itself, for the three calls that it
needs: https://github.com/apache/thrift/blob/master/doc/specs/thrift-binary-protocol.md and HBase's Hbase.thrift.
"""

import csv
import socket
import struct
import sys

BOOL, I32, STRING, STRUCT, MAP, LIST = 2, 8, 11, 12, 13, 15
CALL, EXCEPTION, VERSION_1 = 1, 3, 0x80010000
BATCH = 1000


def text(value):
    data = value.encode()
    return struct.pack(">i", len(data)) + data


def field(kind, number, data):
    return struct.pack(">bh", kind, number) + data


def struct_of(*fields):
    return b"".join(fields) + b"\0"


def list_of(kind, items):
    return struct.pack(">bi", kind, len(items)) + b"".join(items)


NO_ATTRIBUTES = struct.pack(">bbi", STRING, STRING, 0)


class Server:
    def __init__(self, port):
        self.stream = socket.create_connection(("127.0.0.1", port), timeout=30).makefile("rwb")

    def call(self, name, *arguments):
        """Sends the call and answers the kind of the first field of the result, 0 if there is none, and its number."""
        self.stream.write(struct.pack(">I", VERSION_1 | CALL) + text(name) + struct.pack(">i", 1) + struct_of(*arguments))
        self.stream.flush()
        (header,) = struct.unpack(">I", self.read(4))
        self.read(struct.unpack(">i", self.read(4))[0])
        self.read(4)
        if header & 0xFF == EXCEPTION:
            raise SystemExit(f"{name}: the server doesn't know the call")
        kind = self.read(1)[0]
        number = struct.unpack(">h", self.read(2))[0] if kind else -1
        if number > 0:
            self.read(3)
            raise SystemExit(f"{name}: {self.text()}")
        return kind

    def read(self, size):
        data = self.stream.read(size)
        if len(data) != size:
            raise SystemExit("the server closed the connection")
        return data

    def text(self):
        return self.read(struct.unpack(">i", self.read(4))[0]).decode()

    def tables(self):
        self.call("getTableNames")
        _, count = struct.unpack(">bi", self.read(5))
        names = [self.text() for _ in range(count)]
        self.read(1)
        return names

    def create(self, table, families):
        columns = [struct_of(field(STRING, 1, text(f + ":")), field(I32, 2, struct.pack(">i", 1)),
                             field(STRING, 3, text("NONE")), field(BOOL, 4, b"\0"), field(STRING, 5, text("NONE")))
                   for f in families]
        self.call("createTable", field(STRING, 1, text(table)), field(LIST, 2, list_of(STRUCT, columns)))

    def put(self, table, rows):
        batches = []
        for key, cells in rows:
            mutations = [struct_of(field(STRING, 2, text(column)), field(STRING, 3, text(value))) for column, value in cells]
            batches.append(struct_of(field(STRING, 1, text(key)), field(LIST, 2, list_of(STRUCT, mutations))))
        self.call("mutateRows", field(STRING, 1, text(table)), field(LIST, 2, list_of(STRUCT, batches)),
                  field(MAP, 3, NO_ATTRIBUTES))


def main():
    port, table = int(sys.argv[1]), sys.argv[2]
    header, *lines = csv.reader(sys.stdin)
    rows = [(line[0], [(column, value) for column, value in zip(header[1:], line[1:]) if value]) for line in lines]
    families = sorted({column.split(":")[0] for column in header[1:]})
    if table not in Server(port).tables():
        Server(port).create(table, families)
    server = Server(port)
    for start in range(0, len(rows), BATCH):
        server.put(table, rows[start:start + BATCH])


if __name__ == "__main__":
    main()
