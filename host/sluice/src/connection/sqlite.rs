//! `sqlite = { path = … }`: a SQLite database.

use std::path::Path;
use std::sync::Arc;

use sluice_connectors::lookup::Caches;
use sluice_connectors::query::QueryRole;
use sluice_connectors::roles::{LettersRole, LookupRole, SinkRole};
use sluice_connectors::sqlite::SqliteConnection;

use super::{Connection, Connector, LookupForm, Place, cache};
use crate::config::reader::Section;
use crate::config::value;

pub static CONNECTOR: Connector = Connector {
    name: "sqlite",
    example: r#"{ path = "live.db" }"#,
    source: false,
    lookup: Some(LookupForm::TABLE),
    sink: Some(Place::Table),
    letters: Some(Place::Table),
    queries: true,
    read,
};

fn read(section: &Section<'_>, root: &Path) -> Option<Arc<dyn Connection>> {
    let want = r#"a database's file such as "live.db""#;
    let path = section.required("path", want, |item| value::path(&item, root, want));
    let cache = cache::read(section);
    Some(Arc::new(SqliteConnection { path: path?, caches: Caches::new(cache?) }))
}

impl Connection for SqliteConnection {
    fn connector(&self) -> &'static Connector {
        &CONNECTOR
    }

    fn lookup(&self) -> Option<&dyn LookupRole> {
        Some(self)
    }

    fn sink(&self) -> Option<&dyn SinkRole> {
        Some(self)
    }

    fn letters(&self) -> Option<&dyn LettersRole> {
        Some(self)
    }

    fn queries(&self) -> Option<&dyn QueryRole> {
        Some(self)
    }

    fn path(&self) -> Option<&Path> {
        Some(&self.path)
    }
}
