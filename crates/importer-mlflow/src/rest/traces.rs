//! Traces: a line of JSON for each of an experiment.

mod read;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use importer_core::{Finding, Kind, SourceArtifact, SourceItem, SourceProject};
use serde::Deserialize;
use serde_json::{Value as Json, json};
use tracker_http::Request;
use tracker_model::{Result, Timestamp};

pub(super) use self::read::{CheckedTraces, entries, lines};

use super::{
    api::Api,
    artifacts::ArtifactDetail,
    endpoint::Endpoint,
    failure::{failure, is_absent},
    number::Int,
    pages::Pages,
    source::Inner,
};
use crate::mapping::{Fingerprint, RawTraceInfo, traces_artifact};

/// Traces of a page of the listing; the most that servers allow.
const PAGE: usize = 500;
/// The traces of an experiment in the order of their lines.
#[derive(Debug)]
pub(super) struct TraceList {
    api: Api,
    /// By the calls of version 2, that has no spans in its answers.
    is_old: bool,
    traces: Vec<(String, SpansAt)>,
    /// What version 2 says of each in the listing.
    infos: HashMap<String, Json>,
}

/// Where the server keeps the spans of a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SpansAt {
    /// With the trace.
    Database,
    /// Among the artifacts: the calls that give traces do not give these.
    File,
    /// In an archive, which the call for one trace reads.
    Archive,
    /// The server does not say.
    Unsaid,
}

impl SpansAt {
    fn of(info: &Json) -> Self {
        let tag = |name: &str| info.get("tags")?.get(name)?.as_str();
        match tag("mlflow.trace.spansLocation") {
            Some("TRACKING_STORE") => Self::Database,
            Some("ARCHIVE_REPO") => Self::Archive,
            Some(_) => Self::File,
            None if tag("mlflow.artifactLocation").is_some() => Self::File,
            None => Self::Unsaid,
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Page {
    traces: Vec<Json>,
    next_page_token: Option<String>,
}

/// The artifact of an experiment's traces, if there are any.
pub(super) async fn of_experiment(
    inner: &Inner,
    project: &Arc<SourceProject>,
) -> Result<Vec<SourceItem<SourceArtifact>>> {
    let api = inner.api_of(&project.id);
    let doing = format!("list the traces of experiment {:?}", project.name);
    let listed = match list(&api, &project.id, false, &doing).await? {
        Some(listed) => Some((listed, false)),
        None => list(&api, &project.id, true, &doing)
            .await?
            .map(|listed| (listed, true)),
    };
    let Some((mut listed, is_old)) = listed.filter(|((traces, _), _)| !traces.is_empty()) else {
        return Ok(Vec::new());
    };
    listed
        .0
        .sort_by(|a, b| (a.time, &a.id).cmp(&(b.time, &b.id)));
    listed.0.dedup_by(|a, b| a.id == b.id);
    let (traces, findings) = listed;
    let mut hash = Fingerprint::new();
    let mut is_finished = true;
    for trace in &traces {
        hash.field(&trace.id).field(trace.hash);
        is_finished &= trace.is_finished;
    }
    let count = traces.len() as u64;
    let infos = traces
        .iter()
        .filter_map(|t| Some((t.id.clone(), t.info.clone()?)))
        .collect();
    let traces = traces.into_iter().map(|t| (t.id, t.spans_at)).collect();
    let detail = ArtifactDetail::Traces(Arc::new(TraceList {
        api,
        is_old,
        traces,
        infos,
    }));
    let artifact = traces_artifact(
        project,
        count,
        hash.finish(),
        is_finished,
        Some(Arc::new(detail)),
    );
    let mut items: Vec<_> = findings.into_iter().map(SourceItem::Finding).collect();
    items.push(SourceItem::Item(artifact));
    Ok(items)
}

/// A trace in the listing.
struct Listed {
    time: i64,
    id: String,
    hash: [u8; 16],
    is_finished: bool,
    spans_at: SpansAt,
    /// All that is known of it, where it cannot be asked for again.
    info: Option<Json>,
}

/// The traces, and what could not be understood. `None` if the server does not have the call.
async fn list(
    api: &Api,
    experiment: &str,
    is_old: bool,
    doing: &str,
) -> Result<Option<(Vec<Listed>, Vec<Finding>)>> {
    let (mut pages, mut traces, mut findings) = (Pages::default(), Vec::new(), Vec::new());
    loop {
        let token = pages.token().map(str::to_owned);
        let request = if is_old {
            old_search(api, experiment, token.as_deref()).await
        } else {
            search(api, experiment, token.as_deref()).await
        };
        let page: Page = match request.map_err(|e| failure(e, doing))?.json().await {
            Ok(page) => page,
            Err(e) if is_absent(&e) => return Ok(None),
            Err(e) => return Err(failure(e, doing)),
        };
        let count = page.traces.len();
        for info in page.traces {
            match listed(info, is_old) {
                Some(trace) => traces.push(trace),
                None => findings.push(Finding::unreadable(
                    Kind::Traces,
                    format!("experiment {experiment}"),
                    "the server lists a trace without an id or a time",
                )),
            }
        }
        if !pages.follow(count, page.next_page_token, doing)? {
            return Ok(Some((traces, findings)));
        }
    }
}

async fn search(api: &Api, experiment: &str, token: Option<&str>) -> tracker_http::Result<Request> {
    let location = json!({ "type": "MLFLOW_EXPERIMENT", "mlflow_experiment": { "experiment_id": experiment } });
    let mut body =
        json!({ "locations": [location], "max_results": PAGE, "order_by": ["timestamp ASC"] });
    if let (Some(token), Some(body)) = (token, body.as_object_mut()) {
        body.insert("page_token".to_owned(), token.into());
    }
    Ok(api.call(Endpoint::SearchTraces).await?.json_body(&body))
}

async fn old_search(
    api: &Api,
    experiment: &str,
    token: Option<&str>,
) -> tracker_http::Result<Request> {
    let max = PAGE.to_string();
    let fields = [
        ("experiment_ids", experiment),
        ("max_results", &max),
        ("order_by", "timestamp_ms ASC"),
    ];
    let request = api.call(Endpoint::OldSearchTraces).await?.query(fields);
    Ok(request.query(token.map(|token| ("page_token", token))))
}

fn listed(info: Json, is_old: bool) -> Option<Listed> {
    let info = if is_old { upgraded(info)? } else { info };
    let id = info.get("trace_id")?.as_str()?.to_owned();
    let time = info
        .get("request_time")?
        .as_str()?
        .parse::<Timestamp>()
        .ok()?
        .as_millis();
    let state = info.get("state").and_then(Json::as_str).unwrap_or_default();
    let hash = blake3::hash(info.to_string().as_bytes());
    Some(Listed {
        time,
        id,
        hash: hash.as_bytes().first_chunk().copied()?,
        is_finished: matches!(state, "OK" | "ERROR"),
        spans_at: if is_old {
            SpansAt::File
        } else {
            SpansAt::of(&info)
        },
        info: is_old.then_some(info),
    })
}

#[derive(Deserialize)]
struct OldInfo {
    request_id: String,
    #[serde(default)]
    experiment_id: String,
    #[serde(default)]
    timestamp_ms: Int,
    execution_time_ms: Option<Int>,
    status: Option<String>,
    #[serde(default)]
    request_metadata: Vec<OldPair>,
    #[serde(default)]
    tags: Vec<OldPair>,
}

#[derive(Deserialize)]
struct OldPair {
    key: String,
    #[serde(default)]
    value: String,
}

/// What version 2 says of a trace, in the form of version 3.
fn upgraded(info: Json) -> Option<Json> {
    let old: OldInfo = serde_json::from_value(info).ok()?;
    let pairs = |pairs: Vec<OldPair>| {
        pairs
            .into_iter()
            .map(|p| (p.key, p.value))
            .collect::<BTreeMap<_, _>>()
    };
    let state = old.status.map(|s| match s.strip_prefix("TRACE_STATUS_") {
        Some(_) => "STATE_UNSPECIFIED".to_owned(),
        None => s,
    });
    let raw = RawTraceInfo {
        trace_id: old.request_id,
        experiment_id: old.experiment_id,
        request_time: old.timestamp_ms.0,
        execution_duration: old.execution_time_ms.map(|ms| ms.0),
        state,
        metadata: pairs(old.request_metadata),
        tags: pairs(old.tags),
        ..RawTraceInfo::default()
    };
    Some(raw.to_json())
}
