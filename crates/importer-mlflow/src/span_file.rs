//! The spans of traces that MLflow keeps as artifacts: `traces.json`.

use serde::Deserialize;
use serde_json::Value as Json;
use tracker_model::Result;

use crate::{
    artifact_place::Place,
    local_files::{LocalFolder, read_small},
    mapping::{python_json, rest_span},
};

/// The name of the file among the artifacts of a trace.
const NAME: &str = "traces.json";
/// The largest file.
const MAX_BYTES: u64 = 64 << 20;

#[derive(Deserialize)]
struct SpanFile {
    #[serde(default)]
    spans: Vec<Json>,
}

/// Why the spans of a trace cannot be carried, if one can tell without reading them.
pub(crate) fn missing(place: &Place) -> Option<&'static str> {
    match place {
        Place::Folder(folder) => match folder.path().join(NAME).symlink_metadata() {
            Ok(meta) if meta.is_file() && meta.len() <= MAX_BYTES => None,
            Ok(meta) if meta.is_file() => Some("the trace's spans are larger than 64 MiB"),
            _ => Some("the trace has no spans at its source"),
        },
        Place::Empty => Some("the trace has no spans at its source"),
        Place::Unreachable(_) => {
            Some("the trace's spans are in a place that cannot be read from here")
        }
    }
}

/// Reads the spans, in their REST form.
///
/// # Errors
/// Those of the file system; `Corrupt` if the file is torn.
pub(crate) fn read_spans(folder: &LocalFolder) -> Result<Vec<Json>> {
    let bytes = read_small(&folder.path().join(NAME), MAX_BYTES)?;
    let text = String::from_utf8(bytes).ok();
    let json = text.and_then(|text| python_json(&text));
    let file = json.and_then(|json| serde_json::from_value::<SpanFile>(json).ok());
    let file = file.ok_or_else(|| {
        tracker_model::Error::new(
            tracker_model::ErrorKind::Corrupt,
            "the spans are not JSON".to_owned(),
        )
    })?;
    Ok(file.spans.iter().map(rest_span).collect())
}
