//! A topic's id, which librdkafka's metadata keeps to itself: only its admin interface tells it, of which rdkafka has no part.
//!
//! The second file that touches librdkafka's objects by pointer. What keeps it sound: each object is made, used and destroyed within
//! one function, while the client that it belongs to is borrowed, and nothing that points into the answer leaves it.

#![allow(unsafe_code, reason = "rdkafka has no DescribeTopics")]

use std::ffi::{CStr, CString, c_char};
use std::ptr;
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::bindings as c;
use rdkafka::client::Client;
use rdkafka::error::RDKafkaErrorCode;

/// The id that brokers give which know none (before 2.8, or on a ZooKeeper of that time).
const NO_ID: &str = "AAAAAAAAAAAAAAAAAAAAAA";

/// The topic's id, as Kafka's own tools show it; none where brokers have none. Blocks until the answer, at most twice `patience`: the
/// broker that answers a question about the topic is asked, and not the cluster's controller, which may be away.
pub(super) fn topic_id<C: ClientContext>(
    client: &Client<C>,
    topic: &str,
    patience: Duration,
) -> Result<Option<String>, RDKafkaErrorCode> {
    let Ok(name) = CString::new(topic) else { return Err(RDKafkaErrorCode::InvalidTopic) };
    let metadata = client.fetch_metadata(Some(topic), patience);
    let metadata = metadata.map_err(|error| error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail))?;
    let broker = metadata.orig_broker_id();
    let mut names = [name.as_ptr()];
    let millis = patience.as_millis().try_into().unwrap_or(i32::MAX);
    let client = client.native_ptr();
    // SAFETY: the client is alive for the whole call. Queue, options, collection and event are this function's, made here and
    // destroyed here; an answer that comes after the queue was destroyed is dropped by librdkafka. `names` has one name, which is
    // copied into the collection.
    unsafe {
        let queue = c::rd_kafka_queue_new(client);
        let options = c::rd_kafka_AdminOptions_new(client, c::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS);
        c::rd_kafka_AdminOptions_set_request_timeout(options, millis, ptr::null_mut(), 0);
        c::rd_kafka_AdminOptions_set_broker(options, broker, ptr::null_mut(), 0);
        let topics = c::rd_kafka_TopicCollection_of_topic_names(names.as_mut_ptr(), names.len());
        c::rd_kafka_DescribeTopics(client, topics, options, queue);
        c::rd_kafka_TopicCollection_destroy(topics);
        c::rd_kafka_AdminOptions_destroy(options);
        let event = c::rd_kafka_queue_poll(queue, millis);
        let answer = if event.is_null() { Err(RDKafkaErrorCode::OperationTimedOut) } else { id_in(event) };
        if !event.is_null() {
            c::rd_kafka_event_destroy(event);
        }
        c::rd_kafka_queue_destroy(queue);
        answer
    }
}

/// # Safety
/// `event` must be an event that is alive.
unsafe fn id_in(event: *mut c::rd_kafka_event_t) -> Result<Option<String>, RDKafkaErrorCode> {
    // SAFETY: the event is alive; what is read of it lives as long as it does, and is null or counted as librdkafka says.
    unsafe {
        let result = c::rd_kafka_event_DescribeTopics_result(event);
        failed(c::rd_kafka_event_error(event))?;
        if result.is_null() {
            return Err(RDKafkaErrorCode::Fail);
        }
        let mut count = 0;
        let topics = c::rd_kafka_DescribeTopics_result_topics(result, &mut count);
        if topics.is_null() || count == 0 {
            return Err(RDKafkaErrorCode::UnknownTopicOrPartition);
        }
        let topic = *topics;
        let error = c::rd_kafka_TopicDescription_error(topic);
        if !error.is_null() {
            failed(c::rd_kafka_error_code(error))?;
        }
        let id = text(c::rd_kafka_Uuid_base64str(c::rd_kafka_TopicDescription_topic_id(topic)));
        Ok(id.filter(|id| id != NO_ID))
    }
}

fn failed(code: c::rd_kafka_resp_err_t) -> Result<(), RDKafkaErrorCode> {
    match code {
        c::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR => Ok(()),
        code => Err(code.into()),
    }
}

/// # Safety
/// `text` must be null or end in a zero.
unsafe fn text(text: *const c_char) -> Option<String> {
    // SAFETY: as the caller says.
    (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned())
}
