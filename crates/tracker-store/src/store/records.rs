use async_trait::async_trait;
use futures::stream::BoxStream;
use serde_json::Value as Json;
use tracker_model::{Record, RecordCondition, RecordStore, Result};

use super::{EmbeddedStore, pages::paginate};
use crate::catalog::records;

#[async_trait]
impl RecordStore for EmbeddedStore {
    async fn record(&self, space: &str, key: &str) -> Result<Option<Record>> {
        let (space, key) = (space.to_owned(), key.to_owned());
        let read = move |c: &_| records::find(c, &space, &key);
        self.catalog().look_up("read a record", read).await
    }

    async fn put_record(
        &self,
        space: &str,
        key: &str,
        value: Json,
        pre: RecordCondition,
    ) -> Result<Record> {
        let (space, key) = (space.to_owned(), key.to_owned());
        let put = move |c: &_| {
            let before = records::version(c, &space, &key)?;
            let record = Record::put(before, &key, value, pre)?;
            records::put(c, &space, &record)?;
            Ok(record)
        };
        self.catalog().write("put a record", put).await
    }

    async fn delete_record(&self, space: &str, key: &str) -> Result<bool> {
        let (space, key) = (space.to_owned(), key.to_owned());
        let delete = move |c: &_| records::delete(c, &space, &key);
        self.catalog().write("delete a record", delete).await
    }

    fn records(&self, space: &str, prefix: &str) -> BoxStream<'static, Result<Record>> {
        let (store, space, prefix) = (self.clone(), space.to_owned(), prefix.to_owned());
        paginate(move |after: Option<String>| {
            let (store, space, prefix) = (store.clone(), space.clone(), prefix.clone());
            async move {
                let list = move |c: &_| records::page(c, &space, &prefix, after.as_deref());
                let page = store.catalog().read("list records", list).await?;
                let last = page.last().map(|r| r.key.clone());
                Ok((page, last))
            }
        })
    }
}
