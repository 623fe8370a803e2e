//! Traces: a line of JSON for each of an experiment.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use futures::{StreamExt, stream};
use importer_core::{Finding, Kind, SourceArtifact, SourceItem, SourceProject};
use serde::Deserialize;
use serde_json::{Value as Json, json};
use tracker_http::Bytes;
use tracker_model::{ByteStream, Error, ErrorKind, Result, Timestamp};

use super::{
    api::Api,
    artifacts::ArtifactDetail,
    endpoint::Endpoint,
    failure::{failure, is_absent},
    number::Int,
    pages::Pages,
    source::Inner,
};
use crate::mapping::{Fingerprint, RawTraceInfo, rest_span, trace_line, traces_artifact};

/// Traces of a page of the listing; the most that servers allow.
const PAGE: usize = 500;
/// Traces whose spans are asked for at once, and how often at a time.
const BATCH: usize = 20;
const BATCHES: usize = 4;

/// The traces of an experiment in the order of their lines.
#[derive(Debug)]
pub(super) struct TraceList {
    api: Api,
    /// By the calls of version 2, that has no spans in its answers.
    is_old: bool,
    ids: Vec<String>,
    /// What version 2 says of each in the listing.
    infos: HashMap<String, Json>,
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
    let ids = traces.into_iter().map(|trace| trace.id).collect();
    let detail = ArtifactDetail::Traces(Arc::new(TraceList {
        api,
        is_old,
        ids,
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

async fn search(
    api: &Api,
    experiment: &str,
    token: Option<&str>,
) -> tracker_http::Result<tracker_http::Request> {
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
) -> tracker_http::Result<tracker_http::Request> {
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

/// The lines, in order.
pub(super) fn lines(list: Arc<TraceList>) -> ByteStream {
    let batches = list.ids.chunks(BATCH).count();
    stream::iter(0..batches)
        .map(move |batch| {
            let list = Arc::clone(&list);
            async move {
                let begin = batch * BATCH;
                let end = list.ids.len().min(begin + BATCH);
                let ids = list.ids.get(begin..end).unwrap_or_default();
                list.read(ids).await.map(Bytes::from)
            }
        })
        .buffered(BATCHES)
        .boxed()
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Batch {
    traces: Vec<Trace>,
    /// Of the call for one trace.
    trace: Option<Trace>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Trace {
    trace_info: Json,
    spans: Vec<Json>,
}

impl TraceList {
    async fn read(&self, ids: &[String]) -> Result<String> {
        let mut traces = if self.is_old {
            HashMap::new()
        } else {
            self.batch(ids).await?
        };
        let mut lines = String::new();
        for id in ids {
            let Trace {
                trace_info,
                mut spans,
            } = match traces.remove(id) {
                Some(trace) => trace,
                None => self.one(id).await?,
            };
            if spans.is_empty() {
                spans = self.stored_spans(id).await?;
            }
            lines.push_str(&trace_line(trace_info, spans));
        }
        Ok(lines)
    }

    /// Several traces with their spans; what is missing is asked for one by one.
    async fn batch(&self, ids: &[String]) -> Result<HashMap<String, Trace>> {
        let doing = "read traces";
        let request = self
            .api
            .call(Endpoint::GetTraces)
            .await
            .map_err(|e| failure(e, doing))?;
        let request = request.query(ids.iter().map(|id| ("trace_ids", id)));
        match request.json::<Batch>().await {
            Ok(batch) => {
                let id = |trace: &Trace| {
                    trace
                        .trace_info
                        .get("trace_id")
                        .and_then(Json::as_str)
                        .map(str::to_owned)
                };
                Ok(batch
                    .traces
                    .into_iter()
                    .filter_map(|trace| Some((id(&trace)?, trace)))
                    .collect())
            }
            Err(e) if is_absent(&e) || e.kind() == tracker_http::ErrorKind::TooLarge => {
                Ok(HashMap::new())
            }
            Err(e) => Err(failure(e, doing)),
        }
    }

    async fn one(&self, id: &str) -> Result<Trace> {
        if let Some(info) = self.infos.get(id) {
            return Ok(Trace {
                trace_info: info.clone(),
                spans: Vec::new(),
            });
        }
        let doing = format!("read trace {id}");
        let request = self
            .api
            .call(Endpoint::GetTrace)
            .await
            .map_err(|e| failure(e, &doing))?;
        let answer: Batch = request
            .query([("trace_id", id)])
            .json()
            .await
            .map_err(|e| failure(e, &doing))?;
        answer.trace.ok_or_else(|| {
            Error::new(
                ErrorKind::NotFound,
                format!("{doing}: the server lists it and does not give it"),
            )
        })
    }

    /// The spans that the server keeps as a file; none if it has no such file.
    async fn stored_spans(&self, id: &str) -> Result<Vec<Json>> {
        let doing = format!("read the spans of trace {id}");
        let endpoint = if self.is_old {
            Endpoint::OldTraceArtifact
        } else {
            Endpoint::GetTraceArtifact
        };
        let request = self
            .api
            .call(endpoint)
            .await
            .map_err(|e| failure(e, &doing))?;
        match request
            .query([("request_id", id)])
            .max_tries(3)
            .json::<Trace>()
            .await
        {
            Ok(file) => Ok(file.spans.iter().map(stored_span).collect()),
            Err(e)
                if e.status()
                    .is_some_and(|s| s.as_u16() == 500 || s.is_client_error()) =>
            {
                Ok(Vec::new())
            }
            Err(e) => Err(failure(e, doing)),
        }
    }
}

/// A span of a file; those of version 2 stay as they are.
fn stored_span(span: &Json) -> Json {
    if span.get("span_id").is_some() {
        rest_span(span)
    } else {
        span.clone()
    }
}
