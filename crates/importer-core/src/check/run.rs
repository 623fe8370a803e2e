use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt, TryStreamExt};
use serde_json::Value as Json;
use tracker_model::{
    ByteStream, ContentHasher, Digests, HistoryStream, JsonObject, PointBatch, Result, Run, RunId,
    SeriesHasher, SeriesKey, Value,
};

use super::{CheckDepth, Checker, RunCheck, Verdict};
use crate::{
    Event, Kind, PointItem, PointsQuery, RunRef, SourceItem,
    import::{SourceSeries, files_of, fill_facts, finished_run, read_points},
};

pub(super) async fn check(checker: &Checker, run: &RunRef) -> Result<RunCheck> {
    let path = checker
        .targets
        .run(
            &run.project.id,
            &run.project.name,
            &RunId::legalised(&run.id),
        )
        .await?;
    let mut line = RunCheck::new(run.id.clone(), path.to_string(), Verdict::Same);
    let Some(there) = checker.sink.run(&path).await? else {
        line.verdict = Verdict::Missing;
        return Ok(line);
    };
    let kinds = &checker.selection.kinds;
    let record = checker.source.run(run).await?;
    let mut here = finished_run(
        checker.source.id(),
        kinds,
        Some(&there),
        path,
        &record,
        there.import.clone(),
    );
    here.version = there.version;
    if kinds.contains(Kind::Points) {
        for stream in checker.source.capabilities().streams() {
            let (series, summary) = source_series(checker, run, stream).await?;
            here.summary.extend(summary);
            points(checker, run, &there, stream, &series, &mut line).await?;
        }
        facts_of_checksums(checker, &there, &mut line).await?;
    }
    facts(&here, &there, &mut line);
    if kinds.contains(Kind::Files) {
        files(checker, run, &there, &mut line).await?;
    }
    Ok(line)
}

/// Compares what is not history and not files, field by field.
fn facts(here: &Run, there: &Run, line: &mut RunCheck) {
    let fields = |run: &Run| match serde_json::to_value(run) {
        Ok(Json::Object(fields)) => fields,
        _ => JsonObject::new(),
    };
    let (a, b) = (fields(here), fields(there));
    for (field, x) in &a {
        match (x, b.get(field)) {
            (x, Some(y)) if x == y => {}
            // Objects are compared key by key, so that the difference can be seen.
            (Json::Object(x), Some(Json::Object(y))) => {
                for key in x.keys().chain(y.keys()).collect::<BTreeSet<_>>() {
                    if x.get(key) != y.get(key) {
                        let text = |v: Option<&Json>| v.map(ToString::to_string);
                        line.differs(format!("{field}.{key}"), text(x.get(key)), text(y.get(key)));
                    }
                }
            }
            (x, y) => line.differs(
                field.clone(),
                Some(x.to_string()),
                y.map(ToString::to_string),
            ),
        }
    }
}

async fn source_series(
    checker: &Checker,
    run: &RunRef,
    stream: HistoryStream,
) -> Result<(BTreeMap<SeriesKey, SourceSeries>, JsonObject)> {
    let mut series: BTreeMap<SeriesKey, SeriesHasher> = BTreeMap::new();
    let mut summary = JsonObject::new();
    let mut items = checker.source.points(run, PointsQuery::of(stream));
    while let Some(item) = items.try_next().await? {
        match item {
            PointItem::Batch(batch) => {
                checker.observer.on(&Event::Points(batch.len() as u64));
                series.entry(batch.key.clone()).or_default().update(&batch);
            }
            PointItem::Summary(part) => summary.extend(part),
            PointItem::Finding(_) => {}
        }
    }
    let series = series
        .into_iter()
        .map(|(key, mut hasher)| {
            (
                key,
                SourceSeries {
                    count: hasher.count(),
                    digest: hasher.digest(),
                },
            )
        })
        .collect();
    Ok((series, summary))
}

async fn points(
    checker: &Checker,
    run: &RunRef,
    there: &Run,
    stream: HistoryStream,
    series: &BTreeMap<SeriesKey, SourceSeries>,
    line: &mut RunCheck,
) -> Result<()> {
    let counts: BTreeMap<SeriesKey, u64> = checker
        .sink
        .series(&there.path, stream)
        .await?
        .into_iter()
        .map(|s| (s.key, s.count))
        .collect();
    let mut other = BTreeSet::new();
    for key in series.keys().chain(counts.keys()).collect::<BTreeSet<_>>() {
        let (a, b) = (series.get(key).map(|s| s.count), counts.get(key).copied());
        if a.unwrap_or(0) != b.unwrap_or(0) {
            let text = |n: Option<u64>| n.map(|n| format!("{n} points"));
            line.differs(name(stream, key), text(a), text(b));
            other.insert(key.clone());
        }
    }
    if checker.depth == CheckDepth::Counts {
        return Ok(());
    }
    let (checksums, theirs) = read_points(&*checker.sink, there, stream).await?;
    for (key, sent) in series.iter().filter(|(key, _)| !other.contains(*key)) {
        if sent.count > 0 && theirs.get(key) != Some(sent) {
            if checker.depth == CheckDepth::Values {
                first_difference(checker, run, there, stream, key, line).await?;
            } else {
                line.differs(name(stream, key), Some("other points".to_owned()), None);
            }
        }
    }
    match (stream, &mut line.checksums) {
        (HistoryStream::System, Some(metrics)) => metrics.system = checksums.series,
        _ => line.checksums = Some(checksums),
    }
    Ok(())
}

/// Adds what is not points to the checksums, if there are any.
async fn facts_of_checksums(checker: &Checker, there: &Run, line: &mut RunCheck) -> Result<()> {
    if let Some(checksums) = &mut line.checksums {
        let files = files_of(&*checker.sink, there).await?;
        fill_facts(checksums, &checker.source.id().kind, there, files.values());
    }
    Ok(())
}

/// A series in a difference.
fn name(stream: HistoryStream, key: &SeriesKey) -> String {
    match stream {
        HistoryStream::Metrics => format!("series {key:?}"),
        HistoryStream::System => format!("system series {key:?}"),
    }
}

/// A point, so that it can be compared and shown.
fn point(batch: &PointBatch, i: usize) -> String {
    let step = batch.steps.get(i).copied().unwrap_or_default();
    let time = batch
        .times
        .as_ref()
        .map_or_else(String::new, |t| format!(" at {}", t.get(i)));
    let value = match batch.values.get(i) {
        Some(Value::F64(x)) => format!("{x:?} (bits {:016x})", x.to_bits()),
        Some(value) => value.to_json().to_string(),
        None => String::new(),
    };
    format!("step {step}{time}: {value}")
}

async fn first_difference(
    checker: &Checker,
    run: &RunRef,
    there: &Run,
    stream: HistoryStream,
    key: &SeriesKey,
    line: &mut RunCheck,
) -> Result<()> {
    let only = PointsQuery {
        only: Some(BTreeSet::from([key.clone()])),
        ..PointsQuery::of(stream)
    };
    let mut ours = checker
        .source
        .points(run, only)
        .try_filter_map(|item| async {
            Ok(if let PointItem::Batch(batch) = item {
                Some(batch)
            } else {
                None
            })
        })
        .boxed();
    let mut listed = checker.sink.series(&there.path, stream).await?;
    listed.retain(|series| series.key == *key);
    let mut theirs = checker.sink.points(&there.path, stream, listed);
    let (mut a, mut b, mut i, mut j, mut index) = (None, None, 0, 0, 0u64);
    loop {
        while a.as_ref().is_none_or(|x: &PointBatch| i >= x.len()) {
            (a, i) = (ours.try_next().await?, 0);
            if a.is_none() {
                break;
            }
        }
        while b.as_ref().is_none_or(|x: &PointBatch| j >= x.len()) {
            (b, j) = (theirs.try_next().await?, 0);
            if b.is_none() {
                break;
            }
        }
        let (x, y) = (
            a.as_ref().map(|x| point(x, i)),
            b.as_ref().map(|y| point(y, j)),
        );
        if x != y {
            line.differs(format!("{}, point {index}", name(stream, key)), x, y);
            return Ok(());
        }
        if x.is_none() {
            line.differs(name(stream, key), Some("other rows".to_owned()), None);
            return Ok(());
        }
        (i, j, index) = (i + 1, j + 1, index + 1);
    }
}

async fn files(checker: &Checker, run: &RunRef, there: &Run, line: &mut RunCheck) -> Result<()> {
    let mut theirs = files_of(&*checker.sink, there).await?;
    let mut ours = checker.source.files(run);
    while let Some(item) = ours.try_next().await? {
        let SourceItem::Item(file) = item else {
            continue;
        };
        let what = format!("file {:?}", file.draft.name);
        let Some(info) = theirs.remove(&file.draft.name) else {
            line.differs(what, file.size.map(|n| format!("{n} bytes")), None);
            continue;
        };
        if file.size.is_some_and(|size| size != info.digests.size) {
            let text = |n: u64| Some(format!("{n} bytes"));
            line.differs(what, file.size.and_then(text), text(info.digests.size));
            continue;
        }
        if checker.depth == CheckDepth::Counts {
            continue;
        }
        let here = hash(checker, checker.source.open_file(run, &file).await?).await?;
        let stored = match checker.depth {
            CheckDepth::Values => {
                hash(
                    checker,
                    checker.sink.open_file(&there.path, &info.name).await?,
                )
                .await?
            }
            _ => info.digests,
        };
        if here != stored {
            line.differs(what, Some(here.sha256), Some(stored.sha256));
        }
    }
    for (name, info) in theirs {
        line.differs(
            format!("file {name:?}"),
            None,
            Some(format!("{} bytes", info.digests.size)),
        );
    }
    Ok(())
}

pub(super) async fn hash(checker: &Checker, mut body: ByteStream) -> Result<Digests> {
    let mut hasher = ContentHasher::new();
    while let Some(piece) = body.try_next().await? {
        checker.observer.on(&Event::Bytes(piece.len() as u64));
        hasher.update(&piece);
    }
    Ok(hasher.finish())
}
