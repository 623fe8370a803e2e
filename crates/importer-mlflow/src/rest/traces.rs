//! Traces: a line of JSON for each of an experiment.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use futures::{
    StreamExt, TryStreamExt,
    stream::{self, BoxStream},
};
use importer_core::{
    EntryContent, Finding, Kind, SourceArtifact, SourceEntry, SourceItem, SourceProject,
};
use serde::Deserialize;
use serde_json::{Value as Json, json};
use tracker_http::{Bytes, ErrorKind as Http};
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
use crate::{
    mapping::{Fingerprint, RawTraceInfo, TRACES_FILE, trace_line, traces_artifact},
    span_file::{self, Gap},
};

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

/// A trace that was read.
struct Read {
    info: Json,
    spans: Vec<Json>,
    gap: Option<Gap>,
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

/// The traces that were looked at for what the listing cannot say: whose spans the server has and
/// does not give.
#[derive(Debug)]
pub(super) struct CheckedTraces {
    list: Arc<TraceList>,
    without_spans: Arc<BTreeSet<String>>,
}

/// The one entry, behind what was found. Spans that are not with their traces are asked for here,
/// and again for the lines.
pub(super) fn entries(list: Arc<TraceList>) -> BoxStream<'static, Result<SourceItem<SourceEntry>>> {
    stream::once(async move {
        let mut apart = pages(&list, |at| at != SpansAt::Database, Arc::default());
        let (mut without_spans, mut items) = (BTreeSet::new(), Vec::new());
        while let Some(page) = apart.try_next().await? {
            for (id, read) in page {
                let Some(gap) = read.gap else { continue };
                items.push(Ok(SourceItem::Finding(gap.into_finding(&id))));
                without_spans.insert(id);
            }
        }
        let checked = CheckedTraces {
            list,
            without_spans: Arc::new(without_spans),
        };
        let entry = SourceEntry {
            path: TRACES_FILE.to_owned(),
            size: None,
            content: EntryContent::Source(Arc::new(checked)),
        };
        items.push(Ok(SourceItem::Item(entry)));
        Ok(stream::iter(items))
    })
    .try_flatten()
    .boxed()
}

/// The lines, in order.
pub(super) fn lines(checked: &CheckedTraces) -> ByteStream {
    pages(&checked.list, |_| true, Arc::clone(&checked.without_spans))
        .map(|page| {
            let mut lines = String::new();
            for (id, read) in page? {
                if let Some(gap) = read.gap {
                    return Err(gone(gap, &id));
                }
                lines.push_str(&trace_line(read.info, read.spans));
            }
            Ok(Bytes::from(lines))
        })
        .boxed()
}

/// Reads those traces whose spans are where `wanted` says, several at once, in order. Spans are not
/// asked for that are known to be missing.
fn pages(
    list: &Arc<TraceList>,
    wanted: fn(SpansAt) -> bool,
    without_spans: Arc<BTreeSet<String>>,
) -> BoxStream<'static, Result<Vec<(String, Read)>>> {
    let list = Arc::clone(list);
    let pages = list.traces.len().div_ceil(BATCH);
    stream::iter(0..pages)
        .map(move |page| {
            let (list, without_spans) = (Arc::clone(&list), Arc::clone(&without_spans));
            async move {
                let page = list.traces.chunks(BATCH).nth(page).unwrap_or_default();
                let page: Vec<_> = page.iter().filter(|(_, at)| wanted(*at)).collect();
                list.read(&page, &without_spans).await
            }
        })
        .buffered(BATCHES)
        .boxed()
}

/// For spans that were there a moment ago.
fn gone(gap: Gap, id: &str) -> Error {
    let (Gap::Torn(why) | Gap::Unread(why)) = gap;
    Error::new(
        ErrorKind::Unavailable,
        format!("read the spans of trace {id}: {why}"),
    )
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Batch {
    traces: Vec<Trace>,
    /// Of the calls for one trace.
    trace: Option<Trace>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Trace {
    trace_info: Json,
    spans: Vec<Json>,
}

/// Whether the server understood the question and does not answer it. Servers say 500 where spans
/// are kept in another place.
fn is_refusal(error: &tracker_http::Error) -> bool {
    let status = error.status().map(|s| s.as_u16());
    matches!(status, Some(400 | 404 | 405 | 500 | 501)) || error.kind() == Http::TooLarge
}

impl TraceList {
    async fn read(
        &self,
        traces: &[&(String, SpansAt)],
        without_spans: &BTreeSet<String>,
    ) -> Result<Vec<(String, Read)>> {
        let together = traces
            .iter()
            .filter(|(_, at)| matches!(at, SpansAt::Database | SpansAt::Unsaid))
            .map(|(id, _)| id.as_str())
            .collect::<Vec<_>>();
        let mut found = self.batch(&together).await?;
        let mut out = Vec::with_capacity(traces.len());
        for (id, at) in traces {
            let found = match found.remove(id) {
                Some(trace) => Some(trace),
                None if *at == SpansAt::File => None,
                None => self.one(id).await?,
            };
            let is_given = found.is_some();
            let (info, mut spans) = match found {
                Some(trace) => (trace.trace_info, trace.spans),
                None => (self.info(id).await?, Vec::new()),
            };
            let is_all = is_given && matches!(at, SpansAt::Database | SpansAt::Archive);
            let mut gap = None;
            if spans.is_empty() && !is_all && !without_spans.contains(id) {
                match self.stored_spans(id, *at).await? {
                    Ok(stored) => spans = stored,
                    Err(found) => gap = Some(found),
                }
            }
            out.push((id.clone(), Read { info, spans, gap }));
        }
        Ok(out)
    }

    /// Several traces with their spans; what is missing is asked for one by one.
    async fn batch(&self, ids: &[&str]) -> Result<HashMap<String, Trace>> {
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        let doing = "read traces";
        let request = self
            .api
            .call(Endpoint::GetTraces)
            .await
            .map_err(|e| failure(e, doing))?;
        let request = request.query(ids.iter().map(|id| ("trace_ids", id)));
        match request.json::<Batch>().await {
            Ok(batch) => {
                let id =
                    |trace: &Trace| Some(trace.trace_info.get("trace_id")?.as_str()?.to_owned());
                let traces = batch.traces.into_iter();
                Ok(traces.filter_map(|t| Some((id(&t)?, t))).collect())
            }
            Err(e) if is_refusal(&e) => Ok(HashMap::new()),
            Err(e) => Err(failure(e, doing)),
        }
    }

    /// One trace with those spans that have arrived at the server, unless the server refuses.
    async fn one(&self, id: &str) -> Result<Option<Trace>> {
        let doing = format!("read trace {id}");
        let request = self
            .api
            .call(Endpoint::GetTrace)
            .await
            .map_err(|e| failure(e, &doing))?;
        let request = request.query([("trace_id", id), ("allow_partial", "true")]);
        match request.json::<Batch>().await {
            Ok(answer) => Ok(answer.trace),
            Err(e) if is_refusal(&e) => Ok(None),
            Err(e) => Err(failure(e, doing)),
        }
    }

    /// What is known of a trace besides its spans.
    async fn info(&self, id: &str) -> Result<Json> {
        if let Some(info) = self.infos.get(id) {
            return Ok(info.clone());
        }
        let doing = format!("read trace {id}");
        let request = self
            .api
            .call_below(Endpoint::GetTraceInfo, id, "")
            .await
            .map_err(|e| failure(e, &doing))?;
        let answer: Batch = request.json().await.map_err(|e| failure(e, &doing))?;
        answer.trace.map(|trace| trace.trace_info).ok_or_else(|| {
            Error::new(
                ErrorKind::NotFound,
                format!("{doing}: the server lists it and does not give it"),
            )
        })
    }

    /// The spans that the server keeps as a file; none if there is no such file.
    async fn stored_spans(
        &self,
        id: &str,
        at: SpansAt,
    ) -> Result<std::result::Result<Vec<Json>, Gap>> {
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
        let request = request.query([("request_id", id)]).max_tries(3);
        let e = match request.bytes_limited(span_file::MAX_BYTES).await {
            Ok(file) => {
                let spans = span_file::parse(file.into());
                return Ok(spans.map_err(|e| Gap::Torn(e.message().to_owned())));
            }
            Err(e) => e,
        };
        match e.code() {
            Some("NOT_FOUND" | "RESOURCE_DOES_NOT_EXIST") => Ok(Ok(Vec::new())),
            // What servers say of a trace that never had a place for spans.
            Some("INVALID_STATE") if at == SpansAt::Unsaid => Ok(Ok(Vec::new())),
            Some("INVALID_STATE") if at == SpansAt::File => Ok(Err(Gap::Torn(
                "the server says that they are torn".to_owned(),
            ))),
            _ if is_refusal(&e) || e.kind() == Http::PermissionDenied => Ok(Err(Gap::Unread(
                format!("the server does not give them: {e}"),
            ))),
            _ => Err(failure(e, doing)),
        }
    }
}
