//! Taking rows back.

use std::sync::Arc;

use tracker_model::{HistoryStream, Result, RunPath};

use super::{
    seal::copy,
    writer::{publish, remove_files, require_id},
};
use crate::{
    catalog::{runs, segments, tail},
    history::{Encoder, View},
    storage::{NamedLock, Storage},
    store::{EmbeddedStore, blocking},
};

/// Drops the points of all rows from this one on. What is sealed is written anew without them, and
/// one transaction exchanges it and cuts the tail: a crash leaves all or none.
pub(super) async fn truncate(
    store: &EmbeddedStore,
    run: &RunPath,
    stream: HistoryStream,
    from_row: u64,
) -> Result<()> {
    store.catalog().check_writable()?;
    let (inner, path) = (store.inner(), run.clone());
    let work = move || {
        let id = inner
            .catalog
            .read_now("cut a history", |c| runs::require(c, &path))?;
        let name = Storage::history_lock(id, segments::stream_number(stream));
        let what = format_args!("the history of run {path}");
        let lock = NamedLock::take(&inner.storage, &name, what)?;
        let view = inner
            .catalog
            .read_now("cut a history", |c| segments::view(c, id, stream, None))?;
        let goes = |row: u64| row >= from_row;
        let sealed_goes = view
            .series
            .values()
            .any(|s| s.course.last_row.is_some_and(goes));
        let rewritten = if sealed_goes {
            let mut encoder = Encoder::new(Arc::clone(&inner), View::default());
            copy(&inner, &view, 0, &mut encoder, |batch| {
                batch.before_row(from_row)
            })?;
            let sealed = encoder.seal()?;
            let segment = sealed.map(|sealed| publish(&inner.storage, &path, sealed));
            Some(segment.transpose()?)
        } else {
            None
        };
        let replaced: Vec<i64> = view.segments.iter().map(|s| s.id).collect();
        Ok((id, lock, replaced, rewritten))
    };
    let (id, lock, replaced, rewritten) = blocking("cut a history", work).await?;
    let path = run.clone();
    let cut = move |c: &_| {
        require_id(c, &path, id)?;
        // What is staged was to go on from what was there.
        let mut files = segments::drop_staged(c, id, stream, None)?;
        if let Some(segment) = &rewritten {
            for segment in replaced {
                files.extend(segments::remove(c, segment)?);
            }
            if let Some(segment) = segment {
                segments::insert(c, id, stream, None, segment)?;
            }
        }
        tail::truncate(c, id, stream, from_row)?;
        Ok((lock, files))
    };
    let (_, files) = store.catalog().write("cut a history", cut).await?;
    remove_files(&store.inner(), files).await;
    Ok(())
}
