//! Writers are where records are written to: what the generator and the tests need.

/// Appends records to topics.
///
/// **Delivery**: when `flush` answers `Ok`, every record written before is durable in its topic, once. **Order**: records of
/// one topic with the same `spread` keep their order. **Blocking**: `write` may block while the connector's bounded buffer
/// is full.
pub trait Writer: Send {
    /// Makes the topic with this many partitions if it is missing; one that is there stays as it is.
    fn ensure_topic(&mut self, topic: &str, partitions: u32) -> Result<(), WriteError>;

    /// Appends a record to the partition `spread` modulo the topic's partitions. The topic must be there.
    fn write(&mut self, topic: &str, spread: u64, value: &[u8]) -> Result<(), WriteError>;

    /// Waits until everything written is durable.
    fn flush(&mut self) -> Result<(), WriteError>;
}

/// The reason why records could not be written. Messages name the server and the topic, and say what to do.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The server is away or overloaded: the same call may be made again.
    #[error("{0}")]
    Unavailable(String),
    /// The topic isn't there, the credentials are wrong, the disk is full: somebody must change something.
    #[error("{0}")]
    Unusable(String),
}
