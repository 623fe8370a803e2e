use std::collections::BTreeMap;

use futures::{StreamExt, TryStreamExt};
use tracker_model::{
    ContentHasher, Error, ErrorKind, FileInfo, HistoryStream, Result, Run, SeriesHasher, SeriesKey,
};

use super::{SourceSeries, VerifyDepth, job::Job};
use crate::{
    Checksums, PointsChecksum, Sink,
    checksum::{escape, key_value_checksum, lines_checksum},
};

/// What the source sent, by history.
pub(super) type Sent = BTreeMap<HistoryStream, BTreeMap<SeriesKey, SourceSeries>>;

/// Reads a run back from the target, compares it with what the source sent, and answers with the
/// checksums of what is there; `None` where nothing was read.
pub(super) async fn run(
    job: &Job,
    whole: &Run,
    sent: &Sent,
    files: &BTreeMap<String, FileInfo>,
) -> Result<Option<Checksums>> {
    if !job.sink.capabilities().read_back {
        return Ok(None);
    }
    if job.options.verify == VerifyDepth::Counts {
        return counts(job, whole, sent, files).await.map(|()| None);
    }
    let mut checksums = Checksums::default();
    for stream in job.source.capabilities().streams() {
        let (read, theirs) = read_points(&*job.sink, whole, stream).await?;
        let sent = sent.get(&stream).into_iter().flatten();
        for (key, sent) in sent.filter(|(_, sent)| sent.count > 0) {
            if theirs.get(key) != Some(sent) {
                return Err(differs(whole, &format!("the points of {key:?}")));
            }
        }
        match stream {
            HistoryStream::Metrics => checksums = read,
            HistoryStream::System => checksums.system = read.series,
        }
    }
    let there = read_run(&*job.sink, whole).await?;
    if (Run {
        version: there.version,
        ..whole.clone()
    }) != there
    {
        return Err(differs(whole, "its config, tags, times or other facts"));
    }
    let their_files = super::job::files_of(&*job.sink, whole).await?;
    for (name, file) in files {
        if their_files.get(name).map(|f| &f.digests) != Some(&file.digests) {
            return Err(differs(whole, &format!("its file {name:?}")));
        }
    }
    if job.options.verify == VerifyDepth::Values {
        for file in files.values() {
            read_file(&*job.sink, whole, file).await?;
        }
    }
    fill_facts(
        &mut checksums,
        job.source.id().kind.as_str(),
        &there,
        their_files.values(),
    );
    Ok(Some(checksums))
}

/// The checksums of what is not points.
pub(crate) fn fill_facts<'a>(
    checksums: &mut Checksums,
    source_kind: &str,
    run: &Run,
    files: impl Iterator<Item = &'a FileInfo>,
) {
    let text = |v: &serde_json::Value| v.as_str().map_or_else(|| v.to_string(), ToOwned::to_owned);
    let tags = run
        .extras
        .get(source_kind)
        .and_then(|e| e.get("tags"))
        .and_then(|t| t.as_object());
    checksums.params_sha =
        key_value_checksum(run.config.iter().map(|(k, v)| (k.as_str(), text(v))));
    checksums.tags_sha = key_value_checksum(
        tags.into_iter()
            .flatten()
            .map(|(k, v)| (k.as_str(), text(v))),
    );
    checksums.files_sha = lines_checksum(files.map(|f| {
        format!(
            "{}\t{}\t{}\n",
            escape(&f.name),
            f.digests.size,
            f.digests.sha256
        )
    }));
}

fn differs(run: &Run, what: &str) -> Error {
    Error::new(
        ErrorKind::Corrupt,
        format!(
            "{what} of run {} read back from the target differ from what was written",
            run.path
        ),
    )
    .with_hint("import again; if it stays so, check the target with 'trackway fsck --read-data'")
}

async fn counts(
    job: &Job,
    whole: &Run,
    sent: &Sent,
    files: &BTreeMap<String, FileInfo>,
) -> Result<()> {
    for (stream, series) in sent {
        let there: BTreeMap<SeriesKey, u64> = job
            .sink
            .series(&whole.path, *stream)
            .await?
            .into_iter()
            .map(|s| (s.key, s.count))
            .collect();
        for (key, sent) in series {
            if there.get(key) != Some(&sent.count) {
                return Err(differs(whole, &format!("the number of points of {key:?}")));
            }
        }
    }
    if files.is_empty() {
        return Ok(());
    }
    let there = super::job::files_of(&*job.sink, whole).await?;
    match files.keys().find(|name| !there.contains_key(*name)) {
        Some(name) => Err(differs(whole, &format!("its file {name:?}"))),
        None => Ok(()),
    }
}

async fn read_run(sink: &dyn Sink, whole: &Run) -> Result<Run> {
    sink.run(&whole.path)
        .await?
        .ok_or_else(|| differs(whole, "all"))
}

/// Reads a history back, and answers with what is there of each series, too.
pub(crate) async fn read_points(
    sink: &dyn Sink,
    run: &Run,
    stream: HistoryStream,
) -> Result<(Checksums, BTreeMap<SeriesKey, SourceSeries>)> {
    let listed = sink.series(&run.path, stream).await?;
    let mut checksum = PointsChecksum::for_keys(listed.iter().map(|s| &s.key));
    let mut series = BTreeMap::new();
    let mut current: Option<(SeriesKey, SeriesHasher)> = None;
    let mut end = |done: Option<(SeriesKey, SeriesHasher)>| {
        if let Some((key, mut hasher)) = done {
            let read = SourceSeries {
                count: hasher.count(),
                digest: hasher.digest(),
            };
            series.insert(key, read);
        }
    };
    let mut batches = sink.points(&run.path, stream, listed);
    while let Some(batch) = batches.try_next().await? {
        if current.as_ref().is_none_or(|(key, _)| *key != batch.key) {
            end(current.take());
        }
        current
            .get_or_insert_with(|| (batch.key.clone(), SeriesHasher::default()))
            .1
            .update(&batch);
        checksum.update(&batch)?;
    }
    end(current.take());
    Ok((checksum.finish()?, series))
}

async fn read_file(sink: &dyn Sink, run: &Run, file: &FileInfo) -> Result<()> {
    let mut hasher = ContentHasher::new();
    let mut body = sink.open_file(&run.path, &file.name).await?.boxed();
    while let Some(piece) = body.try_next().await? {
        hasher.update(&piece);
    }
    if hasher.finish() == file.digests {
        Ok(())
    } else {
        Err(differs(run, &format!("the bytes of {:?}", file.name)))
    }
}
