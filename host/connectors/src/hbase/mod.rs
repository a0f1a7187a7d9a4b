//! hbase
