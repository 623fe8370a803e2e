use std::fmt::{Debug, Display};

use async_trait::async_trait;
use futures::stream::BoxStream;
use serde_json::Value as Json;

use crate::{Error, ErrorKind, Result, Timestamp};

/// The most bytes that the value of a record may have, written as JSON.
pub const MAX_RECORD_BYTES: usize = 32 << 20;

/// A small JSON document that a service keeps.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Record {
    /// Its name within its space.
    pub key: String,
    /// What it says.
    pub value: Json,
    /// How often it was put since it was last absent, from 1.
    pub version: u64,
    /// When it was put.
    pub updated_at: Timestamp,
}

impl Record {
    /// The record that is there after `value` was put in place of what was there.
    ///
    /// # Errors
    /// `InvalidInput` if the value has more than [`MAX_RECORD_BYTES`]; those of the condition.
    pub fn put(before: Option<u64>, key: &str, value: Json, pre: RecordCondition) -> Result<Self> {
        pre.check(key, before)?;
        let mut left = Left(MAX_RECORD_BYTES);
        if serde_json::to_writer(&mut left, &value).is_err() {
            return Err(Error::invalid(format!(
                "the record {key:?} has more than {MAX_RECORD_BYTES} bytes"
            )));
        }
        Ok(Self::new(
            key,
            value,
            before.unwrap_or(0) + 1,
            Timestamp::now(),
        ))
    }

    /// A record as it was kept.
    pub fn new(key: impl Into<String>, value: Json, version: u64, updated_at: Timestamp) -> Self {
        Self {
            key: key.into(),
            value,
            version,
            updated_at,
        }
    }
}

/// Takes so many bytes and forgets them.
struct Left(usize);

impl std::io::Write for Left {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 = self
            .0
            .checked_sub(bytes.len())
            .ok_or(std::io::ErrorKind::FileTooLarge)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What must hold for a record to be put.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecordCondition {
    /// Nothing.
    #[default]
    None,
    /// There is no such record; otherwise `AlreadyExists`.
    Absent,
    /// The record has this version; otherwise, and where there is none, `Conflict`.
    Version(u64),
}

impl RecordCondition {
    /// Checks the condition against the version of the record, if there is one.
    ///
    /// # Errors
    /// As the variants say.
    pub fn check(self, key: &str, version: Option<u64>) -> Result<()> {
        let changed = |now: &str| {
            let message = format!("the record {key:?} was changed meanwhile: {now}");
            Err(Error::new(ErrorKind::Conflict, message))
        };
        match (self, version) {
            (Self::Absent, Some(_)) => Err(Error::new(
                ErrorKind::AlreadyExists,
                format!("the record {key:?} exists already"),
            )),
            (Self::Version(_), None) => changed("it is gone"),
            (Self::Version(want), Some(have)) if want != have => {
                changed(&format!("it has version {have}, not {want}"))
            }
            _ => Ok(()),
        }
    }
}

/// Small JSON documents that a service keeps beside the runs, such as accounts and uploads that
/// are under way. Implementor's contract.
///
/// It is not a part of a [`crate::Tracker`]: nothing of an experiment is in it, and no import
/// copies it. Records are in spaces, which need not be made; a key is any text, within a space.
#[async_trait]
pub trait RecordStore: Display + Debug + Send + Sync + 'static {
    /// One record, if it is there.
    async fn record(&self, space: &str, key: &str) -> Result<Option<Record>>;

    /// Puts a record in place of what is there, in one step, and answers what is there now.
    /// Durable when it answers.
    ///
    /// # Errors
    /// Those of the [`RecordCondition`]; `InvalidInput` beyond [`MAX_RECORD_BYTES`].
    async fn put_record(
        &self,
        space: &str,
        key: &str,
        value: Json,
        pre: RecordCondition,
    ) -> Result<Record>;

    /// Deletes a record, durably. Answers whether there was one.
    async fn delete_record(&self, space: &str, key: &str) -> Result<bool>;

    /// The records of a space whose keys begin with the prefix, in byte order of their keys.
    fn records(&self, space: &str, prefix: &str) -> BoxStream<'static, Result<Record>>;
}
