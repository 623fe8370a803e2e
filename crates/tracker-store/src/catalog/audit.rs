//! What a check of the whole store asks the catalog.

use rusqlite::{Connection, OptionalExtension, params};
use tracker_model::{ArtifactVersion, CollectionPath, HistoryStream, RunId, RunPath, Timestamp};

use super::{Outcome, artifacts, projects, runs, segments, sweep};
use crate::{
    error::corrupt,
    history::{self, Part, Segment},
};

/// What SQLite finds wrong with its own file, at most so many lines.
pub(crate) fn integrity(
    connection: &Connection,
    thorough: bool,
    limit: usize,
) -> Outcome<Vec<String>> {
    let check = if thorough {
        "integrity_check"
    } else {
        "quick_check"
    };
    let mut statement = connection.prepare(&format!("PRAGMA {check}({limit})"))?;
    let lines = statement
        .query_map([], |r| r.get::<_, String>(0))?
        .collect::<Result<Vec<_>, _>>()?;
    let mut out: Vec<String> = lines.into_iter().filter(|line| line != "ok").collect();
    let mut statement = connection.prepare("PRAGMA foreign_key_check")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        if out.len() >= limit {
            break;
        }
        let (table, line, parent): (String, Option<i64>, String) =
            (row.get(0)?, row.get(1)?, row.get(2)?);
        out.push(format!(
            "line {} of {table} refers to a line of {parent} that is not there",
            line.unwrap_or(0)
        ));
    }
    Ok(out)
}

/// A history of a run.
#[derive(Debug, Clone)]
pub(crate) struct HistoryKey {
    pub(crate) run: i64,
    pub(crate) stream: i64,
    pub(crate) path: RunPath,
}

impl HistoryKey {
    pub(crate) fn stream(&self) -> Option<HistoryStream> {
        sweep::stream_of(self.stream)
    }
}

/// The next histories with segments or a tail.
pub(crate) fn histories(
    connection: &Connection,
    after: (i64, i64),
    limit: usize,
) -> Outcome<Vec<HistoryKey>> {
    let mut statement = connection.prepare_cached(
        "SELECT h.run AS run, h.stream AS stream, entity, project.name AS project, run_id
         FROM (SELECT run, stream FROM segment WHERE (run, stream) > (?1, ?2)
               UNION SELECT run, stream FROM tail WHERE (run, stream) > (?1, ?2)
               ORDER BY run, stream LIMIT ?3) h
             JOIN run ON run.id = h.run JOIN project ON project.id = run.project
         ORDER BY h.run, h.stream",
    )?;
    let mut rows = statement.query(params![after.0, after.1, limit])?;
    let mut out = Vec::new();
    while let Some(row) = rows.next()? {
        let run: String = row.get("run_id")?;
        let run = RunId::new(&run)
            .map_err(|e| corrupt("the catalog holds a run with an illegal id").with_source(e))?;
        let path = projects::path_of(row, "entity", "project")?.run(run);
        out.push(HistoryKey {
            run: row.get("run")?,
            stream: row.get("stream")?,
            path,
        });
    }
    Ok(out)
}

/// A segment with its index, or what is wrong with that.
pub(crate) type AuditedSegment = (Segment, tracker_model::Result<Vec<Part>>);

/// All segments of a history, staged ones too.
pub(crate) fn segments_of(
    connection: &Connection,
    key: &HistoryKey,
) -> Outcome<Vec<AuditedSegment>> {
    let mut statement = connection.prepare_cached(
        "SELECT id, path, bytes, points, token, parts FROM segment WHERE run = ?1 AND stream = ?2
         ORDER BY token IS NOT NULL, id",
    )?;
    let mut rows = statement.query(params![key.run, key.stream])?;
    let mut out = Vec::new();
    while let Some(row) = rows.next()? {
        let parts = row
            .get_ref("parts")?
            .as_blob()
            .map_err(|_| corrupt("a history has no index"));
        out.push((segments::segment_of(row)?, parts.and_then(history::decode)));
    }
    Ok(out)
}

/// The bytes of a segment in the catalog.
pub(crate) fn data_of(connection: &Connection, segment: i64) -> Outcome<Option<Vec<u8>>> {
    let sql = "SELECT data FROM segment_data WHERE segment = ?1";
    Ok(connection
        .prepare_cached(sql)?
        .query_row([segment], |r| r.get(0))
        .optional()?)
}

/// Contents as the catalog describes them.
#[derive(Debug)]
pub(crate) struct AuditedBlob {
    pub(crate) id: i64,
    pub(crate) digests: tracker_model::Digests,
    pub(crate) inline: bool,
    pub(crate) used: bool,
}

/// The next contents after a line.
pub(crate) fn blobs(
    connection: &Connection,
    after: i64,
    limit: usize,
) -> Outcome<Vec<AuditedBlob>> {
    let sql = format!(
        "SELECT id, inline, {},
             EXISTS (SELECT 1 FROM file WHERE file.blob = blob.id)
             OR EXISTS (SELECT 1 FROM entry WHERE entry.blob = blob.id) OR coalesce(held_ms, 0) > ?3 AS used
         FROM blob WHERE id > ?1 ORDER BY id LIMIT ?2",
        super::blobs::COLUMNS
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params![after, limit, Timestamp::now().as_millis()])?;
    let mut out = Vec::new();
    while let Some(row) = rows.next()? {
        out.push(AuditedBlob {
            id: row.get("id")?,
            digests: super::blobs::digests_of(row)?,
            inline: row.get("inline")?,
            used: row.get("used")?,
        });
    }
    Ok(out)
}

/// A version, and what its manifest really has.
#[derive(Debug)]
pub(crate) struct AuditedVersion {
    pub(crate) id: i64,
    pub(crate) version: ArtifactVersion,
    pub(crate) digest: String,
    pub(crate) size: u64,
    pub(crate) entries: u64,
}

/// The next versions after a line.
pub(crate) fn versions(
    connection: &Connection,
    after: i64,
    limit: usize,
) -> Outcome<Vec<AuditedVersion>> {
    let mut statement = connection.prepare_cached(
        "SELECT version.id AS id, idx, entity, project.name AS project, collection.name AS name
         FROM version JOIN collection ON collection.id = version.collection
             JOIN project ON project.id = collection.project
         WHERE version.id > ?1 ORDER BY version.id LIMIT ?2",
    )?;
    let mut rows = statement.query(params![after, limit])?;
    let mut out = Vec::new();
    while let Some(row) = rows.next()? {
        let path = CollectionPath {
            project: projects::path_of(row, "entity", "project")?,
            name: row.get("name")?,
        };
        let stored = artifacts::by_index(connection, &path, row.get("idx")?)?;
        let real = artifacts::summary(connection, stored.manifest)?;
        out.push(AuditedVersion {
            id: row.get("id")?,
            version: stored.version,
            digest: real.digest,
            size: real.size,
            entries: real.entries,
        });
    }
    Ok(out)
}

/// How many runs there are.
pub(crate) fn count_runs(connection: &Connection) -> Outcome<u64> {
    runs::count(
        connection,
        &tracker_model::RunQuery::new().with_deleted(true),
    )
}

/// Whether a file or an artifact has the contents, or they stay for one that is to come.
pub(crate) fn is_used(connection: &Connection, blob: i64) -> Outcome<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM file WHERE blob = ?1) OR EXISTS (SELECT 1 FROM entry WHERE blob = ?1)
                   OR EXISTS (SELECT 1 FROM blob WHERE id = ?1 AND held_ms > ?2)";
    Ok(connection
        .prepare_cached(sql)?
        .query_row([blob, Timestamp::now().as_millis()], |r| r.get(0))?)
}

/// One file or artifact that has the contents, as text.
pub(crate) fn user_of(connection: &Connection, blob: i64) -> Outcome<Option<String>> {
    let file = "SELECT 'file ' || file.name || ' of run ' || entity || '/' || project.name || '/' || run_id
                FROM file JOIN run ON run.id = file.run JOIN project ON project.id = run.project
                WHERE file.blob = ?1 LIMIT 1";
    let entry = "SELECT entry.path || ' of artifact ' || entity || '/' || project.name || '/' || collection.name
                     || ':v' || idx
                 FROM entry JOIN version ON version.manifest = entry.manifest
                     JOIN collection ON collection.id = version.collection
                     JOIN project ON project.id = collection.project
                 WHERE entry.blob = ?1 LIMIT 1";
    for sql in [file, entry] {
        if let Some(user) = connection
            .prepare_cached(sql)?
            .query_row([blob], |r| r.get(0))
            .optional()?
        {
            return Ok(Some(user));
        }
    }
    Ok(None)
}
