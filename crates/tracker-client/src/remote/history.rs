//! Histories: exactly with servers of ours, as rows of JSON with others.

use std::ops::RangeInclusive;

use async_trait::async_trait;
use futures::{StreamExt, TryFutureExt, TryStreamExt, stream::BoxStream};
use serde::Deserialize;
use serde_json::{Value as Json, json};
use tracker_http::{HeaderValue, Method, Request};
use tracker_model::{
    ByteStream, Error, ErrorKind, HistoryQuery, HistoryStore, HistoryStream, HistoryWriter,
    PointBatch, Result, RunPath, SampleQuery, SeriesInfo, sample_by_scan,
};

use super::{Remote, RemoteTracker, failure::failure, failure::unsupported, rows, under, writer};
use crate::frames::{self, Frame};

#[derive(Deserialize)]
struct Next {
    next: u64,
}

pub(super) fn word(stream: HistoryStream) -> &'static str {
    match stream {
        HistoryStream::Metrics => "metrics",
        HistoryStream::System => "system",
    }
}

/// Frames as a body.
pub(super) fn frames_kind() -> HeaderValue {
    HeaderValue::from_static("application/octet-stream")
}

impl Remote {
    /// A request about the history of a run, as servers of ours take it.
    pub(super) fn exact_request(
        &self,
        method: Method,
        run: &RunPath,
        what: &str,
    ) -> Result<Request> {
        let (entity, project) = (run.entity.as_str(), run.project.as_str());
        let url = under(
            &self.base,
            ["trackway", entity, project, run.run.as_str(), what],
        )?;
        Ok(self.http.request(method, url).idempotent())
    }

    async fn exact_points(
        &self,
        run: &RunPath,
        query: &Json,
    ) -> Result<BoxStream<'static, Result<Frame>>> {
        let doing = format!("read the history of run {run}");
        let request = self
            .exact_request(Method::POST, run, "scan")?
            .json_body(query);
        let response = request.send().await.map_err(|e| failure(e, &doing))?;
        let body: ByteStream = response
            .into_stream()
            .map_err(move |e| failure(e, &doing))
            .boxed();
        Ok(frames::decoded(body))
    }

    pub(super) async fn exact_series(
        &self,
        run: &RunPath,
        stream: HistoryStream,
    ) -> Result<Vec<SeriesInfo>> {
        let doing = format!("list the series of run {run}");
        let request = self.exact_request(Method::GET, run, "series")?;
        let sent = request.query([("stream", word(stream))]).send();
        let body = sent.await.map_err(|e| failure(e, &doing))?.into_stream();
        let body = body.map_err(move |e| failure(e, &doing)).boxed();
        let mut frames = frames::decoded(body);
        let mut series = Vec::new();
        while let Some(frame) = frames.try_next().await? {
            if let Frame::Series(info) = frame {
                series.push(info);
            }
        }
        Ok(series)
    }
}

fn exact_query(query: &HistoryQuery) -> Json {
    json!({
        "stream": word(query.stream), "keys": query.keys, "steps": steps_of(query.steps.as_ref()),
        "from_index": query.from_index, "by_rows": query.by_rows,
    })
}

fn steps_of(steps: Option<&RangeInclusive<i64>>) -> Option<(i64, i64)> {
    steps.map(|steps| (*steps.start(), *steps.end()))
}

fn points(frames: BoxStream<'static, Result<Frame>>) -> BoxStream<'static, Result<PointBatch>> {
    frames
        .try_filter_map(|frame| {
            std::future::ready(Ok(match frame {
                Frame::Points { batch, .. } => Some(batch),
                _ => None,
            }))
        })
        .boxed()
}

#[async_trait]
impl HistoryStore for RemoteTracker {
    async fn append(
        &self,
        run: &RunPath,
        stream: HistoryStream,
        at: u64,
        batches: Vec<PointBatch>,
    ) -> Result<u64> {
        let remote = &self.remote;
        if !remote.is_exact() {
            return rows::append(remote, run, stream, at, batches).await;
        }
        let mut body = Vec::new();
        for batch in &batches {
            batch.check()?;
            for (at, batch) in frames::pieces(0, batch) {
                frames::encode(&Frame::Points { at, batch }, &mut body)?;
            }
        }
        body.extend_from_slice(&frames::END);
        let request = remote.exact_request(Method::POST, run, "append")?;
        let request = request
            .query([("stream", word(stream)), ("at", &at.to_string())])
            .body(frames_kind(), body);
        let doing = format!("append to the history of run {run}");
        let Next { next } = request.json().await.map_err(|e| failure(e, doing))?;
        Ok(next)
    }

    async fn next_row(&self, run: &RunPath, stream: HistoryStream) -> Result<u64> {
        let remote = &self.remote;
        if !remote.is_exact() {
            return rows::next_row(remote, run, stream).await;
        }
        let request = remote.exact_request(Method::GET, run, "next")?;
        let asked = request.query([("stream", word(stream))]).json();
        let doing = format!("ask for the next row of run {run}");
        let Next { next } = asked.await.map_err(|e| failure(e, doing))?;
        Ok(next)
    }

    async fn truncate(&self, run: &RunPath, stream: HistoryStream, from_row: u64) -> Result<()> {
        let remote = &self.remote;
        if !remote.is_exact() {
            return rows::rewind(remote, run, stream, from_row).await;
        }
        let spool = writer::Spool::of(remote, run, stream);
        let _lock = spool.lock().await?;
        let request = remote.exact_request(Method::POST, run, "truncate")?;
        let asked = request.query([("stream", word(stream)), ("at", &from_row.to_string())]);
        let doing = format!("truncate the history of run {run}");
        asked.send().await.map_err(|e| failure(e, doing))?;
        spool.remove().await
    }

    async fn history_writer(
        &self,
        run: &RunPath,
        stream: HistoryStream,
        token: &str,
    ) -> Result<Box<dyn HistoryWriter>> {
        if !self.remote.is_exact() {
            return Err(unsupported(
                "much history at once is not sent to this server: it takes rows as they are logged",
            ));
        }
        let writer = writer::Writer::open(&self.remote, run, stream, token).await?;
        Ok(Box::new(writer))
    }

    async fn series(&self, run: &RunPath, stream: HistoryStream) -> Result<Vec<SeriesInfo>> {
        match self.remote.is_exact() {
            true => self.remote.exact_series(run, stream).await,
            false => rows::series(&self.remote, run, stream).await,
        }
    }

    fn scan(&self, run: &RunPath, query: HistoryQuery) -> BoxStream<'static, Result<PointBatch>> {
        let (remote, run) = (self.remote.clone(), run.clone());
        if !remote.is_exact() {
            return rows::scan(remote, run, query);
        }
        let frames = async move { remote.exact_points(&run, &exact_query(&query)).await };
        points(frames.try_flatten_stream().boxed())
    }

    async fn sample(&self, run: &RunPath, query: SampleQuery) -> Result<Vec<PointBatch>> {
        if !self.remote.is_exact() {
            return sample_by_scan(self, run, query).await;
        }
        let asked = json!({
            "stream": word(query.stream), "keys": query.keys,
            "steps": steps_of(query.steps.as_ref()), "samples": query.samples,
        });
        let frames = self.remote.exact_points(run, &asked).await?;
        points(frames).try_collect().await
    }
}

/// An error of the disk.
pub(super) fn disk(doing: &str, e: std::io::Error) -> Error {
    let kind = match e.kind() {
        std::io::ErrorKind::StorageFull => ErrorKind::StorageFull,
        _ => ErrorKind::Unexpected,
    };
    Error::new(kind, doing).with_source(e)
}
