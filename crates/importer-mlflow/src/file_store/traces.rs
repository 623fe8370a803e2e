//! The traces of an experiment of a file store.

use std::{
    io,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use importer_core::{Finding, Kind};
use serde::Deserialize;
use serde_json::Value as Json;
use tracker_model::{ByteStream, Error, ErrorKind, Result, Timestamp};

use super::{
    layout::{ARTIFACTS, Child, Store, TAGS, TRACES},
    meta::{number, parse},
    stamp::values_fingerprint,
    values::{Budget, read_values, why},
};
use crate::{
    artifact_place::Place,
    blocking::{Filled, filled_by},
    local_files::{read_small, sorted_entries},
    mapping::{Fingerprint, RawTraceInfo, trace_line},
    span_file::{self, Gap},
};

const INFO: &str = "trace_info.yaml";
const METADATA: &str = "request_metadata";
const ASSESSMENTS: &str = "assessments";
const MAX_INFO: u64 = 4 << 20;

/// `trace_info.yaml`, of this and the older form.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct InfoFile {
    request_time: Option<String>,
    timestamp_ms: Option<String>,
    execution_duration_ms: Option<String>,
    execution_time_ms: Option<String>,
    state: Option<String>,
    status: Option<String>,
    client_request_id: Option<String>,
    request_preview: Option<String>,
    response_preview: Option<String>,
}

/// A trace in a listing.
#[derive(Debug, Clone)]
pub(super) struct TraceFolder {
    time: i64,
    id: String,
    path: PathBuf,
}

/// The traces of an experiment, in order.
#[derive(Debug, Default)]
pub(super) struct Traces {
    pub(super) all: Vec<TraceFolder>,
    pub(super) fingerprint: String,
    pub(super) findings: Vec<Finding>,
}

/// Lists the traces of an experiment.
///
/// # Errors
/// Those of the folder.
pub(super) fn list(store: &Store, experiment: &Child) -> Result<Traces> {
    let folder = experiment.path.join(TRACES);
    let mut out = Traces::default();
    if !folder.is_dir() {
        return Ok(out);
    }
    let mut hash = Fingerprint::new();
    for child in store.folders(&folder, Kind::Traces, &[])? {
        let child = match child {
            Ok(child) => child,
            Err(finding) => {
                out.findings.push(finding);
                continue;
            }
        };
        let place = child.path.display().to_string();
        let time = match read_info(&child.path).and_then(|info| time_of(&info)) {
            Ok(time) => time,
            Err(e) => {
                let reason = format!("its {INFO} cannot be read: {}", why(&e));
                out.findings
                    .push(Finding::unreadable(Kind::Traces, place, reason));
                continue;
            }
        };
        hash.field(&child.name).number(time);
        hash.field(values_fingerprint(&child.path));
        let artifacts = store.trace_artifacts(experiment, &child.path, &child.name)?;
        // Spans may come, or be within reach, another time.
        hash.field(span_file::find(&artifacts).as_str());
        out.all.push(TraceFolder {
            time,
            id: child.name,
            path: child.path,
        });
    }
    out.all
        .sort_by(|a, b| (a.time, &a.id).cmp(&(b.time, &b.id)));
    out.fingerprint = hash.finish();
    Ok(out)
}

fn read_info(trace: &Path) -> Result<InfoFile> {
    parse(&read_small(&trace.join(INFO), MAX_INFO)?)
}

fn time_of(info: &InfoFile) -> Result<i64> {
    match (&info.request_time, &info.timestamp_ms) {
        (Some(time), _) => Ok(time.parse::<Timestamp>()?.as_millis()),
        (None, Some(ms)) => Ok(number("timestamp_ms", Some(ms))?.unwrap_or(0)),
        (None, None) => Err(Error::new(
            ErrorKind::Corrupt,
            "it is torn: the field request_time is missing",
        )),
    }
}

/// Reads all traces for what the listing cannot say: which of them lack parts that they should
/// have. They are carried without these.
pub(super) fn gaps(
    store: &Store,
    experiment: &Child,
    traces: &[TraceFolder],
    feed: &mut dyn FnMut(Finding) -> Filled,
) -> Filled {
    for trace in traces {
        for gap in line(store, experiment, trace)?.1 {
            feed(gap.into_finding(&trace.id))?;
        }
    }
    Ok(())
}

/// The traces, a line each.
pub(super) fn lines(
    store: std::sync::Arc<Store>,
    experiment: Child,
    traces: Vec<TraceFolder>,
) -> ByteStream {
    filled_by(move |feed| {
        for trace in &traces {
            let line = line(&store, &experiment, trace)?.0;
            let weight = line.len() / 16;
            feed.heavy(Bytes::from(line), weight)?;
        }
        Ok(())
    })
}

/// The line of a trace, and what it lacks: torn parts, and spans that cannot be read.
fn line(store: &Store, experiment: &Child, trace: &TraceFolder) -> Result<(String, Vec<Gap>)> {
    let info = read_info(&trace.path)?;
    let mut findings = Vec::new();
    let mut budget = Budget::new();
    let mut values = |part: &str| {
        read_values(
            &trace.path.join(part),
            Kind::Traces,
            &mut budget,
            &mut findings,
        )
    };
    let (metadata, tags) = (values(METADATA), values(TAGS));
    let duration = info
        .execution_duration_ms
        .as_deref()
        .or(info.execution_time_ms.as_deref());
    let raw = RawTraceInfo {
        trace_id: trace.id.clone(),
        experiment_id: experiment.name.clone(),
        request_time: trace.time,
        execution_duration: number("execution_duration_ms", duration)?,
        client_request_id: info.client_request_id,
        state: info.state.or(info.status),
        request_preview: info.request_preview,
        response_preview: info.response_preview,
        metadata,
        tags,
    };
    let mut json = raw.to_json();
    let (assessments, lacking) = assessments(&trace.path.join(ASSESSMENTS));
    if let (Json::Object(json), false) = (&mut json, assessments.is_empty()) {
        json.insert("assessments".to_owned(), assessments.into());
    }
    let place = store.trace_artifacts(experiment, &trace.path, &trace.id)?;
    let (spans, gap) = span_file::find(&place).read();
    let torn = findings.into_iter().map(|f| f.reason).chain(lacking).next();
    Ok((trace_line(json, spans), Gap::all(torn, gap)))
}

/// Assessments of a trace, as their files say, and why some cannot be read.
fn assessments(folder: &Path) -> (Vec<Json>, Option<String>) {
    let entries = match sorted_entries(folder) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return (Vec::new(), None),
        Err(e) => return (Vec::new(), Some(format!("its assessments: {}", e.kind()))),
    };
    let (mut all, mut lacking) = (Vec::new(), None);
    for entry in entries.iter().filter(|e| e.kind.is_file()) {
        let text = read_small(&folder.join(&entry.name), MAX_INFO).and_then(|bytes| {
            String::from_utf8(bytes).map_err(|_| Error::new(ErrorKind::Corrupt, "it is not UTF-8"))
        });
        match text {
            Ok(text) => all.push(parse(text.as_bytes()).unwrap_or(Json::String(text))),
            Err(e) => {
                lacking.get_or_insert_with(|| format!("an assessment cannot be read: {}", why(&e)));
            }
        }
    }
    (all, lacking)
}

impl Store {
    fn trace_artifacts(&self, experiment: &Child, trace: &Path, id: &str) -> Result<Place> {
        let uri = read_small(&trace.join(TAGS).join("mlflow.artifactLocation"), MAX_INFO).ok();
        let uri = uri.and_then(|bytes| String::from_utf8(bytes).ok());
        self.artifacts(
            &trace.join(ARTIFACTS),
            uri.as_deref(),
            &[TRACES, id, ARTIFACTS],
            &experiment.name,
        )
    }
}
