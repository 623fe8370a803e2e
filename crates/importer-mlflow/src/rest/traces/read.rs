//! Traces with their spans, wherever the server keeps these.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use futures::{
    StreamExt, TryStreamExt,
    stream::{self, BoxStream},
};
use importer_core::{EntryContent, SourceEntry, SourceItem};
use serde::Deserialize;
use serde_json::Value as Json;
use tracker_http::{Bytes, ErrorKind as Http, Request};
use tracker_model::{ByteStream, Error, ErrorKind, Result};

use super::{SpansAt, TraceList};
use crate::{
    mapping::{TRACES_FILE, trace_line},
    rest::{endpoint::Endpoint, failure::failure},
    span_file::{self, Gap},
};

/// Traces whose spans are asked for at once, and how often at a time.
const BATCH: usize = 20;
const BATCHES: usize = 4;

/// A trace that was read.
struct Read {
    info: Json,
    spans: Vec<Json>,
    gap: Option<Gap>,
}

/// The traces that were looked at for what the listing cannot say: whose spans the server has and
/// does not give.
#[derive(Debug)]
pub(in crate::rest) struct CheckedTraces {
    list: Arc<TraceList>,
    without_spans: Arc<BTreeSet<String>>,
}

/// The one entry, behind what was found. Spans that are not with their traces are asked for here,
/// and again for the lines.
pub(in crate::rest) fn entries(
    list: Arc<TraceList>,
) -> BoxStream<'static, Result<SourceItem<SourceEntry>>> {
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
            extras: Default::default(),
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
pub(in crate::rest) fn lines(checked: &CheckedTraces) -> ByteStream {
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

/// The request, tried less often where a failure of the server may well be its answer.
fn patient(request: Request, is_expected: bool) -> Request {
    if is_expected {
        request
    } else {
        request.max_tries(3)
    }
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
        let is_said = !traces.iter().any(|(_, at)| *at == SpansAt::Unsaid);
        let mut found = self.batch(&together, is_said).await?;
        let mut out = Vec::with_capacity(traces.len());
        for (id, at) in traces {
            let found = match found.remove(id) {
                Some(trace) => Some(trace),
                None if *at == SpansAt::File || without_spans.contains(id) => None,
                None => self.one(id, *at).await?,
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
    async fn batch(&self, ids: &[&str], is_said: bool) -> Result<HashMap<String, Trace>> {
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
        let request = patient(request, is_said);
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
    async fn one(&self, id: &str, at: SpansAt) -> Result<Option<Trace>> {
        let doing = format!("read trace {id}");
        let request = self
            .api
            .call(Endpoint::GetTrace)
            .await
            .map_err(|e| failure(e, &doing))?;
        let request = request.query([("trace_id", id), ("allow_partial", "true")]);
        let request = patient(request, at == SpansAt::Database);
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
        let request = patient(request.query([("request_id", id)]), false);
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
            _ if is_refusal(&e) || e.kind() == Http::PermissionDenied => {
                tracing::debug!(error = %e, "no spans");
                let why = match e.status() {
                    Some(status) => format!("it answers {}", status.as_u16()),
                    None => "they are too large".to_owned(),
                };
                Ok(Err(Gap::Unread(format!(
                    "the server does not give them: {why}"
                ))))
            }
            _ => Err(failure(e, doing)),
        }
    }
}
