//! A row of the table `run` as filters and orders see it, in place.

use std::cell::OnceCell;

use query_dsl::{
    Kind, Node, Path,
    lazy::{Jsonb, JsonbNode},
};
use rusqlite::Row;
use tracker_model::{RunId, Timestamp, non_finite};

use super::Outcome;
use crate::error::corrupt;

/// The columns that are read, each only where it is needed.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Needs {
    config: bool,
    summary: bool,
    extras: bool,
    details: bool,
    /// The names of the project.
    project: bool,
}

impl Needs {
    /// Of a path, too.
    pub(super) fn add_path(&mut self, path: &Path) {
        match path.parts().first().map(String::as_str) {
            Some("config") => self.config = true,
            Some("summary_metrics") => self.summary = true,
            Some("extras") => self.extras = true,
            Some("entity" | "project") => self.project = true,
            Some(name) if COLUMNS.contains(&name) => {}
            _ => self.details = true,
        }
    }

    /// What must be joined to the table.
    pub(super) fn join(self) -> &'static str {
        if self.project {
            "CROSS JOIN project ON project.id = run.project"
        } else {
            ""
        }
    }

    /// What a [`RunRow`] reads.
    pub(super) fn columns(self) -> String {
        let where_needed = |needed: bool, columns: &str, instead: &str| {
            if needed { columns } else { instead }.to_owned()
        };
        let json = |needed, column| where_needed(needed, column, "NULL");
        let project = where_needed(self.project, "project.entity, project.name", "'', ''");
        format!(
            "run.id, run.project, run_id, run.created_ms, run.created_ns, run.name, run.state, run.deleted, \
             {project}, {}, {}, {}, {}",
            json(self.config, "config"),
            json(self.summary, "summary"),
            json(self.extras, "run.extras"),
            json(self.details, "details"),
        )
    }
}

/// Fields that are not in `details`.
const COLUMNS: [&str; 5] = ["name", "display_name", "state", "created_at", "deleted"];

/// What a run is listed by.
#[derive(Debug, Clone)]
pub(crate) struct RowId {
    pub(crate) id: i64,
    pub(super) created: (i64, u32),
    pub(super) run: Box<str>,
    pub(super) project: i64,
}

impl RowId {
    /// The id of the run.
    pub(super) fn run_id(&self) -> Outcome<RunId> {
        let id = RunId::new(&*self.run);
        let illegal = |e| corrupt("the catalog holds a run with an illegal id").with_source(e);
        Ok(id.map_err(illegal)?)
    }
}

/// A row of [`Needs::columns`]. What nobody asks for is not read.
pub(super) struct RunRow<'r> {
    row: &'r Row<'r>,
    config: OnceCell<Option<Jsonb<'r>>>,
    summary: OnceCell<Option<Jsonb<'r>>>,
    extras: OnceCell<Option<Jsonb<'r>>>,
    details: OnceCell<Option<Jsonb<'r>>>,
}

impl<'r> RunRow<'r> {
    pub(super) fn new(row: &'r Row<'_>) -> Self {
        Self {
            row,
            config: OnceCell::new(),
            summary: OnceCell::new(),
            extras: OnceCell::new(),
            details: OnceCell::new(),
        }
    }

    /// What the run is listed by.
    pub(super) fn id(&self) -> Outcome<RowId> {
        Ok(RowId {
            id: self.row.get(0)?,
            project: self.row.get(1)?,
            run: self.text(2).unwrap_or_default().into(),
            created: (self.row.get(3)?, self.row.get(4)?),
        })
    }

    pub(super) fn node<'a>(&'a self) -> RowNode<'a, 'r> {
        RowNode(Part::Row(self))
    }

    /// A text, or nothing; nothing, too, where the catalog is damaged.
    fn text(&self, at: usize) -> Option<&'r str> {
        self.row.get_ref(at).ok()?.as_str().ok()
    }

    fn json<'a>(&self, cell: &'a OnceCell<Option<Jsonb<'r>>>, at: usize) -> Option<&'a Jsonb<'r>> {
        cell.get_or_init(|| Some(Jsonb::plain(self.row.get_ref(at).ok()?.as_blob().ok()?)))
            .as_ref()
    }

    fn section<'a>(&self, cell: &'a OnceCell<Option<Jsonb<'r>>>, at: usize) -> Part<'a, 'r> {
        let json = self.json(cell, at);
        json.map_or(Part::EmptyObject, |json| Part::Json(json.root()))
    }

    fn field<'a>(&'a self, name: &str) -> Option<Part<'a, 'r>> {
        match name {
            "name" => self.text(2).map(Part::Text),
            "created_at" => Some(Part::Date(self.row.get(3).ok()?)),
            "display_name" => self.text(5).map(Part::Text),
            "state" => self.text(6).map(Part::Text),
            "deleted" => Some(Part::Bool(self.row.get(7).ok()?)),
            "entity" => self.text(8).map(Part::Text),
            "project" => self.text(9).map(Part::Text),
            "config" => Some(self.section(&self.config, 10)),
            "summary_metrics" => Some(self.section(&self.summary, 11)),
            "extras" => Some(self.section(&self.extras, 12)),
            _ => self.detail(name),
        }
    }

    fn detail<'a>(&'a self, name: &str) -> Option<Part<'a, 'r>> {
        let get = |key: &str| self.json(&self.details, 13)?.root().get(key);
        let time = |key: &str| match get(key)?.kind() {
            Kind::String(text) => text.parse::<Timestamp>().ok(),
            _ => None,
        };
        match name {
            "started_at" | "ended_at" | "heartbeat_at" => {
                time(name).map(|time| Part::Date(time.as_millis()))
            }
            "duration" => {
                let end = time("ended_at").or_else(|| time("heartbeat_at"))?;
                let seconds = Timestamp::seconds_between(time("started_at")?, end);
                Some(Part::Seconds(seconds))
            }
            "tags" => Some(get("tags").map_or(Part::EmptyList, Part::Plain)),
            "username" => get("user").map(Part::Plain),
            "commit" => {
                let commit = get("git")?.get("commit")?;
                (!matches!(commit.kind(), Kind::Null)).then_some(Part::Plain(commit))
            }
            "host" | "program" | "group" | "job_type" | "notes" | "parent" | "sweep" => {
                get(name).map(Part::Plain)
            }
            _ => None,
        }
    }
}

/// A part of a row. It equals the part of a [`tracker_model::RunNode`].
#[derive(Clone, Copy)]
pub(super) struct RowNode<'a, 'r>(Part<'a, 'r>);

#[derive(Clone, Copy)]
enum Part<'a, 'r> {
    Row(&'a RunRow<'r>),
    /// Of config, summary or extras, where some strings are numbers.
    Json(JsonbNode<'a>),
    /// Of the rest.
    Plain(JsonbNode<'a>),
    Text(&'a str),
    Date(i64),
    Seconds(f64),
    Bool(bool),
    EmptyList,
    EmptyObject,
}

impl<'a, 'r: 'a> Node<'a> for RowNode<'a, 'r> {
    fn kind(self) -> Kind<'a> {
        match self.0 {
            Part::Row(_) | Part::EmptyObject => Kind::Object,
            Part::Json(json) => match json.kind() {
                Kind::String(text) => non_finite(text).map_or(Kind::String(text), Kind::Double),
                kind => kind,
            },
            Part::Plain(json) => json.kind(),
            Part::Text(text) => Kind::String(text),
            Part::Date(ms) => Kind::Date(ms),
            Part::Seconds(seconds) => Kind::Double(seconds),
            Part::Bool(value) => Kind::Bool(value),
            Part::EmptyList => Kind::Array,
        }
    }

    fn get(self, key: &str) -> Option<Self> {
        match self.0 {
            Part::Row(row) => row.field(key).map(Self),
            Part::Json(json) => json.get(key).map(|json| Self(Part::Json(json))),
            Part::Plain(json) => json.get(key).map(|json| Self(Part::Plain(json))),
            _ => None,
        }
    }

    fn item(self, index: usize) -> Option<Self> {
        match self.0 {
            Part::Json(json) => json.item(index).map(|json| Self(Part::Json(json))),
            Part::Plain(json) => json.item(index).map(|json| Self(Part::Plain(json))),
            _ => None,
        }
    }

    fn items(self) -> impl Iterator<Item = Self> {
        let (wrap, json) = self.json();
        json.into_iter()
            .flat_map(Node::items)
            .map(move |json| Self(wrap(json)))
    }

    /// Nobody asks for all fields of a run: filters name them.
    fn entries(self) -> impl Iterator<Item = (&'a str, Self)> {
        let (wrap, json) = self.json();
        json.into_iter()
            .flat_map(Node::entries)
            .map(move |(key, json)| (key, Self(wrap(json))))
    }
}

impl<'a, 'r: 'a> RowNode<'a, 'r> {
    /// The JSON that it is, if it is some, and what its parts are.
    fn json(self) -> (fn(JsonbNode<'a>) -> Part<'a, 'r>, Option<JsonbNode<'a>>) {
        match self.0 {
            Part::Json(json) => (Part::Json, Some(json)),
            Part::Plain(json) => (Part::Plain, Some(json)),
            _ => (Part::Plain, None),
        }
    }
}
