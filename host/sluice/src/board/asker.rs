//! Asker: puts the boards' questions to the connections.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::tz::TimeZone;
use sluice_clock::now_micros;
use sluice_connectors::query::{Query, QueryError, QueryLimits, QueryRows, Reader};
use sluice_core::printable;

use super::file::Question;
use crate::config::unveiled;
use crate::connection::ByName;

/// Connections that boards ask, each opened once.
pub struct Asker {
    connections: ByName,
    readers: Mutex<BTreeMap<String, Arc<dyn Reader>>>,
}

impl Asker {
    /// Asks on these connections.
    pub fn new(connections: &ByName) -> Asker {
        Asker { connections: connections.clone(), readers: Mutex::default() }
    }

    /// The connections by their names.
    pub fn connections(&self) -> &ByName {
        &self.connections
    }

    /// The answer, or why there is none, as a sentence that may be shown.
    pub async fn ask(&self, question: &Question, zone: &TimeZone) -> Result<QueryRows, String> {
        let now = now_micros();
        let query = Query {
            sql: question.sql.clone(),
            parameters: question.parameters.iter().map(|(name, of)| (name.clone(), of.value(zone, now))).collect(),
            limits: QueryLimits { rows: question.rows, ..QueryLimits::default() },
        };
        let answer = match self.reader(&question.connection) {
            Ok(reader) => reader.read(&query).await,
            Err(error) => Err(error),
        };
        answer.map_err(|error| printable(&unveiled(&error.to_string())).into_owned())
    }

    fn reader(&self, name: &str) -> Result<Arc<dyn Reader>, QueryError> {
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(reader) = readers.get(name) {
            return Ok(Arc::clone(reader));
        }
        let role = self.connections.get(name).and_then(|connection| connection.queries());
        let role = role.ok_or_else(|| QueryError::Refused(format!("connection `{name}` can't be asked by a board")))?;
        let reader: Arc<dyn Reader> = role.open_reader()?.into();
        readers.insert(name.to_owned(), Arc::clone(&reader));
        Ok(reader)
    }
}
