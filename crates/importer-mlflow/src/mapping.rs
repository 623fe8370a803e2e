//! What becomes of MLflow's records: one mapping for all ways of reading them.
//!
//! A source fills a `Raw…` record with what it read, verbatim, and turns it into the form of the
//! pipeline. Whatever the source's order was, equal records give equal results.

mod experiment;
mod fingerprint;
mod logged_model;
mod model_source;
mod point;
mod registry;
pub(crate) mod rule;
mod run;
mod traces;

pub(crate) use experiment::RawExperiment;
pub(crate) use fingerprint::Fingerprint;
pub(crate) use logged_model::{RawLoggedModel, RawModelMetric};
pub(crate) use model_source::{ModelSource, REFERENCE_ENTRY, UNREACHABLE_VERSION, decoded_path};
pub(crate) use point::{Latest, history_order};
pub(crate) use registry::{RawModelVersion, RawRegisteredModel};
pub(crate) use run::{RawDatasetInput, RawModelOutput, RawRun};
pub(crate) use traces::{
    RawTraceInfo, TRACES_FILE, millisecond_time, rest_span, trace_line, traces_artifact,
};

use std::collections::BTreeMap;

use serde_json::Value as Json;
use tracker_model::JsonObject;

/// The source's name in `extras` and metadata.
pub(crate) const KIND: &str = "mlflow";

/// `{"mlflow": object}`.
fn under_name(object: JsonObject) -> JsonObject {
    JsonObject::from_iter([(KIND.to_owned(), Json::Object(object))])
}

/// Adds a field unless there is nothing to say.
fn put<T: Into<Json>>(object: &mut JsonObject, field: &str, value: Option<T>) {
    if let Some(value) = value {
        object.insert(field.to_owned(), value.into());
    }
}

/// Adds a text unless there is none or it is empty: some ways leave out what others give empty.
fn put_text(object: &mut JsonObject, field: &str, value: Option<&str>) {
    put(object, field, value.filter(|v| !v.is_empty()));
}

/// Key-value pairs as a JSON object.
fn pairs(tags: &BTreeMap<String, String>) -> Json {
    tags.iter()
        .map(|(k, v)| (k.clone(), Json::from(v.as_str())))
        .collect::<JsonObject>()
        .into()
}
