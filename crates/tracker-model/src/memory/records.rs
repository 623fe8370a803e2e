use async_trait::async_trait;
use futures::stream::BoxStream;
use serde_json::Value as Json;

use super::{MemoryTracker, stream_of};
use crate::{Record, RecordCondition, RecordStore, Result};

#[async_trait]
impl RecordStore for MemoryTracker {
    async fn record(&self, space: &str, key: &str) -> Result<Option<Record>> {
        let state = self.state();
        Ok(state.records.get(space).and_then(|r| r.get(key)).cloned())
    }

    async fn put_record(
        &self,
        space: &str,
        key: &str,
        value: Json,
        pre: RecordCondition,
    ) -> Result<Record> {
        let mut state = self.state();
        let before = state.records.get(space).and_then(|r| r.get(key));
        let record = Record::put(before.map(|r| r.version), key, value, pre)?;
        let space = state.records.entry(space.to_owned()).or_default();
        space.insert(key.to_owned(), record.clone());
        Ok(record)
    }

    async fn delete_record(&self, space: &str, key: &str) -> Result<bool> {
        let mut state = self.state();
        let removed = state.records.get_mut(space).and_then(|r| r.remove(key));
        Ok(removed.is_some())
    }

    fn records(&self, space: &str, prefix: &str) -> BoxStream<'static, Result<Record>> {
        let state = self.state();
        let records = state.records.get(space).into_iter();
        let from = records.flat_map(|r| r.range(prefix.to_owned()..));
        let found = from.take_while(|(key, _)| key.starts_with(prefix));
        stream_of(Ok(found.map(|(_, r)| r.clone()).collect::<Vec<_>>()))
    }
}
