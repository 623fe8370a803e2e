//! The spans of traces that MLflow keeps as artifacts: `traces.json`.

use std::io;

use importer_core::{Finding, Kind};
use serde::Deserialize;
use serde_json::Value as Json;
use tracker_model::{Error, ErrorKind, Result, python_json};

use crate::{
    artifact_place::Place,
    local_files::{LocalFolder, read_small},
    mapping::{rest_span, rule},
};

/// The name of the file among the artifacts of a trace.
const NAME: &str = "traces.json";
/// The largest file.
pub(crate) const MAX_BYTES: u64 = 64 << 20;

#[derive(Deserialize)]
struct Contents {
    #[serde(default)]
    spans: Vec<Json>,
}

/// What one can tell of the spans of a trace without reading them.
#[derive(Debug)]
pub(crate) enum SpanFile<'a> {
    /// They are in a file of this folder.
    There(&'a LocalFolder),
    /// The source has none: they were never written, or somebody removed them.
    Absent,
    /// They cannot be read from here, with the reason.
    Unreachable(&'static str),
}

impl SpanFile<'_> {
    /// The spans, in their REST form, or why there are none that can be read.
    pub(crate) fn read(&self) -> (Vec<Json>, Option<Gap>) {
        match self {
            Self::Absent => (Vec::new(), None),
            Self::Unreachable(reason) => (Vec::new(), Some(Gap::Unread((*reason).to_owned()))),
            Self::There(folder) => match read(folder) {
                Ok(spans) => (spans, None),
                Err(e) => (Vec::new(), Some(Gap::Torn(e.message().to_owned()))),
            },
        }
    }

    /// A word for fingerprints: spans may come, and be reached, later.
    pub(crate) fn as_str(&self) -> &'static str {
        match self {
            Self::There(_) => "there",
            Self::Absent => "absent",
            Self::Unreachable(_) => "unreachable",
        }
    }
}

/// Where the spans of a trace are that are kept among its artifacts.
pub(crate) fn find(place: &Place) -> SpanFile<'_> {
    match place {
        Place::Folder(folder) => match folder.path().join(NAME).symlink_metadata() {
            Ok(meta) if meta.is_file() && meta.len() <= MAX_BYTES => SpanFile::There(folder),
            Ok(meta) if meta.is_file() => SpanFile::Unreachable("they are larger than 64 MiB"),
            Ok(_) => SpanFile::Unreachable("their file is a link or no file, and is not followed"),
            Err(e) if e.kind() == io::ErrorKind::NotFound => SpanFile::Absent,
            Err(_) => SpanFile::Unreachable("their file cannot be read"),
        },
        Place::Empty => SpanFile::Absent,
        Place::Unreachable(reason) => SpanFile::Unreachable(reason),
    }
}

/// Why a trace arrives without something that the source should have.
#[derive(Debug)]
pub(crate) enum Gap {
    /// Parts of it are torn at the source.
    Torn(String),
    /// Its spans cannot be read from here.
    Unread(String),
}

impl Gap {
    /// What a trace lacks beside its spans, and of these. The trace is one datum: of several torn
    /// parts the first is told.
    pub(crate) fn all(torn: Option<String>, of_spans: Option<Self>) -> Vec<Self> {
        let of_spans = of_spans.filter(|gap| torn.is_none() || matches!(gap, Self::Unread(_)));
        torn.map(Self::Torn).into_iter().chain(of_spans).collect()
    }

    /// What a receipt says of it. The trace itself arrives, and is one that a rule changed or that
    /// lacks a file.
    pub(crate) fn into_finding(self, trace_id: &str) -> Finding {
        match self {
            Self::Torn(why) => Finding::normalised(
                Kind::Traces,
                format!("trace {trace_id}: {why}"),
                rule::TRACE_WITHOUT_TORN_PARTS,
            ),
            Self::Unread(why) => {
                Finding::unreadable(Kind::Entries, format!("the spans of trace {trace_id}"), why)
            }
        }
    }
}

fn read(folder: &LocalFolder) -> Result<Vec<Json>> {
    parse(read_small(&folder.path().join(NAME), MAX_BYTES)?)
}

/// The spans that a file says, in their REST form.
///
/// # Errors
/// `Corrupt` if the file is torn.
pub(crate) fn parse(bytes: Vec<u8>) -> Result<Vec<Json>> {
    let text = String::from_utf8(bytes).ok();
    let json = text.and_then(|text| python_json(&text));
    let file = json.and_then(|json| serde_json::from_value::<Contents>(json).ok());
    let file =
        file.ok_or_else(|| Error::new(ErrorKind::Corrupt, "the spans are not JSON".to_owned()))?;
    Ok(file.spans.iter().map(rest_span).collect())
}
