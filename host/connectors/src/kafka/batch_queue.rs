//! Records taken many at a time, straight from librdkafka's consumer queue: half the CPU of one at a time.
//!
//! This is the only file that touches librdkafka's objects by pointer. What keeps it sound:
//!
//! - a queue and a batch own the consumer they came from (`Arc`), so the client is destroyed after all of its objects;
//! - a message is owned by exactly one batch, is never changed, and is destroyed when the batch drops it;
//! - librdkafka's functions that are used here may be called from any thread.

#![allow(unsafe_code, reason = "rd_kafka_consume_batch_queue takes half the CPU of one record at a time")]

use std::ffi::{CStr, c_char};
use std::ops::Deref;
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::time::Duration;

use rdkafka::bindings as c;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaResult, RDKafkaErrorCode};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientConfig, ClientContext as _};

use super::reports::Reports;

/// A client of a cluster: rdkafka's, for all but records.
pub(super) struct Consumer(BaseConsumer<Reports>);

impl Consumer {
    pub fn create(config: &ClientConfig) -> KafkaResult<Consumer> {
        config.create_with_context(Reports::default()).map(Consumer)
    }
}

impl Deref for Consumer {
    type Target = BaseConsumer<Reports>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

/// Records that wait in the queue hold the broker's thread, and librdkafka waits for that thread before it empties the queue:
/// it would hang. So they, and those that still come, go to a queue that is destroyed before the client is closed.
impl Drop for Consumer {
    fn drop(&mut self) {
        let client = self.0.client().native_ptr();
        // SAFETY: the client is alive until the field is dropped, after this; each queue is this function's own reference.
        // A forwarded queue keeps its target's memory alive, and what is added to a destroyed target is destroyed.
        unsafe {
            let records = c::rd_kafka_queue_get_consumer(client);
            let grave = c::rd_kafka_queue_new(client);
            if !records.is_null() && !grave.is_null() {
                c::rd_kafka_queue_forward(records, grave);
            }
            for queue in [grave, records].into_iter().filter(|queue| !queue.is_null()) {
                c::rd_kafka_queue_destroy(queue);
            }
        }
    }
}

/// The most events of the client that are taken up at once, so that a broker's flood of errors can't hold up records.
const MAX_EVENTS: usize = 100;

/// The queues of one consumer: records and partitions' errors in one, the client's log and events in the other.
pub(super) struct BatchQueue {
    records: NonNull<c::rd_kafka_queue_t>,
    events: NonNull<c::rd_kafka_queue_t>,
    consumer: Arc<Consumer>,
}

// SAFETY: librdkafka's queues may be used from any thread, and `Consumer` is `Send` and `Sync`.
unsafe impl Send for BatchQueue {}

impl BatchQueue {
    /// The queues of this consumer; none if it has no group. Nobody may poll the consumer besides.
    pub fn new(consumer: &Arc<Consumer>) -> Option<BatchQueue> {
        let client = consumer.client().native_ptr();
        // SAFETY: `client` is alive as long as `consumer`, which is held until after the queues are destroyed. Forwarding to
        // null takes the main queue's events out of the consumer queue, where a batch could not tell what they are.
        unsafe {
            c::rd_kafka_poll_set_consumer(client);
            let records = NonNull::new(c::rd_kafka_queue_get_consumer(client))?;
            let Some(events) = NonNull::new(c::rd_kafka_queue_get_main(client)) else {
                c::rd_kafka_queue_destroy(records.as_ptr());
                return None;
            };
            c::rd_kafka_queue_forward(events.as_ptr(), ptr::null_mut());
            Some(BatchQueue { records, events, consumer: Arc::clone(consumer) })
        }
    }

    /// A batch of this queue's messages, empty.
    pub fn batch(&self) -> Batch {
        Batch { messages: Vec::new(), _consumer: Arc::clone(&self.consumer) }
    }

    /// Adds messages that are there to the batch, until it is `max` long. librdkafka waits for ALL of them until the timeout is
    /// over, rounded up to milliseconds.
    pub fn take(&mut self, batch: &mut Batch, max: usize, timeout: Duration) {
        let wanted = max.saturating_sub(batch.messages.len());
        if wanted == 0 {
            return;
        }
        batch.messages.reserve(wanted);
        let millis = timeout.as_nanos().div_ceil(1_000_000).try_into().unwrap_or(i32::MAX);
        let spare = batch.messages.spare_capacity_mut();
        // SAFETY: the queue is alive; `spare` has room for at least `wanted` pointers, of which librdkafka writes the number
        // that it answers (-1 on an error), each a message that is ours from then on. `Message` is a pointer.
        unsafe {
            let taken =
                c::rd_kafka_consume_batch_queue(self.records.as_ptr(), millis, spare.as_mut_ptr().cast(), wanted);
            let taken = usize::try_from(taken).unwrap_or(0).min(wanted);
            batch.messages.set_len(batch.messages.len() + taken);
        }
    }

    /// Takes up the client's log lines and errors.
    pub fn serve_events(&self) {
        for _ in 0..MAX_EVENTS {
            // SAFETY: the queue is alive; the event is ours until it is destroyed, here, and a null one is no event.
            unsafe {
                let event = c::rd_kafka_queue_poll(self.events.as_ptr(), 0);
                if event.is_null() {
                    return;
                }
                report(event, self.consumer.client().context());
                c::rd_kafka_event_destroy(event);
            }
        }
    }
}

impl Drop for BatchQueue {
    fn drop(&mut self) {
        // SAFETY: both are this object's references, taken in `new`, and the client outlives them.
        unsafe {
            c::rd_kafka_queue_destroy(self.records.as_ptr());
            c::rd_kafka_queue_destroy(self.events.as_ptr());
        }
    }
}

/// # Safety
/// `event` must be an event that is alive.
unsafe fn report(event: *mut c::rd_kafka_event_t, reports: &Reports) {
    // SAFETY: these read an event that is alive, whatever its kind; the texts live as long as it does.
    unsafe {
        match c::rd_kafka_event_type(event) {
            c::RD_KAFKA_EVENT_LOG => {
                let (mut facility, mut line, mut level) = (ptr::null(), ptr::null(), 0);
                if c::rd_kafka_event_log(event, &mut facility, &mut line, &mut level) == 0 {
                    reports.log(level_of(level), text(facility).trim(), text(line).trim());
                }
            }
            c::RD_KAFKA_EVENT_ERROR => {
                let code = RDKafkaErrorCode::from(c::rd_kafka_event_error(event));
                reports.heard(Some(code), text(c::rd_kafka_event_error_string(event)).trim());
            }
            _ => {}
        }
    }
}

/// syslog's levels.
fn level_of(level: i32) -> RDKafkaLogLevel {
    match level {
        ..=2 => RDKafkaLogLevel::Critical,
        3 => RDKafkaLogLevel::Error,
        4 => RDKafkaLogLevel::Warning,
        5 => RDKafkaLogLevel::Notice,
        6 => RDKafkaLogLevel::Info,
        _ => RDKafkaLogLevel::Debug,
    }
}

/// # Safety
/// `text` must be null, or end in a zero byte and live as long as the answer.
unsafe fn text<'a>(text: *const c_char) -> std::borrow::Cow<'a, str> {
    if text.is_null() {
        return "".into();
    }
    // SAFETY: as the caller promises.
    unsafe { CStr::from_ptr(text) }.to_string_lossy()
}

/// Messages that are ours: records, and errors in their place among them.
pub(super) struct Batch {
    // Before the consumer: fields are dropped in order.
    messages: Vec<Message>,
    _consumer: Arc<Consumer>,
}

impl Batch {
    pub fn len(&self) -> usize {
        self.messages.len()
    }

    pub fn get(&self, i: usize) -> &Message {
        &self.messages[i]
    }

    /// Destroys the messages that `keep` doesn't want.
    pub fn retain(&mut self, keep: impl FnMut(&Message) -> bool) {
        self.messages.retain(keep);
    }
}

/// Message of librdkafka's; this object is its only owner.
#[repr(transparent)]
pub(super) struct Message(NonNull<c::rd_kafka_message_t>);

// SAFETY: a message is only read, and destroyed once; librdkafka allows both from any thread.
unsafe impl Send for Message {}
// SAFETY: what is called on a shared message reads fields that nobody changes.
unsafe impl Sync for Message {}

impl Message {
    fn raw(&self) -> &c::rd_kafka_message_t {
        // SAFETY: the message is alive until this object is dropped, and nobody changes it.
        unsafe { self.0.as_ref() }
    }

    /// The error that this is in place of a record, or none.
    pub fn error(&self) -> Option<RDKafkaErrorCode> {
        match self.raw().err {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR => None,
            error => Some(error.into()),
        }
    }

    pub fn partition(&self) -> i32 {
        self.raw().partition
    }

    /// The offset of a record, or that an error is about; negative where it is about none.
    pub fn offset(&self) -> i64 {
        self.raw().offset
    }

    /// The record's value, or an error's text.
    pub fn payload(&self) -> Option<&[u8]> {
        let raw = self.raw();
        // SAFETY: librdkafka's pointer and length of one buffer, which lives as long as the message.
        unsafe { bytes(raw.payload.cast(), raw.len) }
    }

    /// Bytes of a record's key and value.
    pub fn bytes(&self) -> usize {
        self.raw().key_len + self.raw().len
    }

    pub fn key(&self) -> Option<&[u8]> {
        let raw = self.raw();
        // SAFETY: as for the payload.
        unsafe { bytes(raw.key.cast(), raw.key_len) }
    }

    /// Milliseconds since 1970-01-01T00:00:00 UTC.
    pub fn timestamp(&self) -> Option<i64> {
        let mut kind = c::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        // SAFETY: reads a message that is alive.
        let millis = unsafe { c::rd_kafka_message_timestamp(self.0.as_ptr(), &mut kind) };
        (kind != c::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE && millis >= 0).then_some(millis)
    }
}

impl Drop for Message {
    fn drop(&mut self) {
        // SAFETY: this object is the message's only owner, and the batch keeps the client alive until after this.
        unsafe { c::rd_kafka_message_destroy(self.0.as_ptr()) }
    }
}

/// # Safety
/// `start` must be null or point to `length` bytes that live and don't change as long as the answer.
unsafe fn bytes<'a>(start: *const u8, length: usize) -> Option<&'a [u8]> {
    if start.is_null() {
        return None;
    }
    // SAFETY: as the caller promises.
    Some(unsafe { std::slice::from_raw_parts(start, length) })
}
