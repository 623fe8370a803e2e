use async_trait::async_trait;
use futures::stream::BoxStream;
use rusqlite::Connection;
use tracker_model::{
    Collection, CollectionPatch, CollectionPath, CollectionStore, Error, ErrorKind, ProjectPath,
    Result,
};

use super::{EmbeddedStore, pages::paginate};
use crate::catalog::collections;

const PAGE: usize = 500;

#[async_trait]
impl CollectionStore for EmbeddedStore {
    fn collections(&self, project: &ProjectPath) -> BoxStream<'static, Result<Collection>> {
        let (store, project) = (self.clone(), project.clone());
        paginate(move |after: Option<String>| {
            let (store, project) = (store.clone(), project.clone());
            async move {
                let after = after.unwrap_or_default();
                let list = move |c: &_| collections::page(c, &project, &after, PAGE);
                let page = store.catalog().read("list artifacts", list).await?;
                let last = page.last().map(|c| c.path.name.clone());
                Ok((page, last))
            }
        })
    }

    async fn collection(&self, path: &CollectionPath) -> Result<Collection> {
        let key = path.clone();
        let read = move |c: &_| collections::find(c, &key);
        let found = self.catalog().look_up("read an artifact", read).await?;
        found
            .map(|(_, collection)| collection)
            .ok_or_else(|| Error::not_found(format_args!("artifact {path}")))
    }

    async fn upsert_collection(
        &self,
        path: &CollectionPath,
        patch: CollectionPatch,
    ) -> Result<Collection> {
        // Made by hand, a path may hold any name.
        let path = CollectionPath::new(path.project.clone(), path.name.clone())?;
        let change = move |c: &Connection| {
            let (id, collection) = match collections::find(c, &path)? {
                Some((id, mut collection)) => {
                    patch.apply(&mut collection)?;
                    if collection.path != path && collections::find(c, &collection.path)?.is_some()
                    {
                        let message = format!("artifact {} exists already", collection.path);
                        return Err(Error::new(ErrorKind::AlreadyExists, message).into());
                    }
                    (Some(id), collection)
                }
                None if patch.name.is_some() => {
                    return Err(Error::not_found(format_args!("artifact {path}")).into());
                }
                None => (None, patch.create(path)),
            };
            collections::put(c, id, &collection)?;
            Ok(collection)
        };
        self.catalog().write("write an artifact", change).await
    }

    async fn delete_collection(&self, path: &CollectionPath) -> Result<()> {
        let path = path.clone();
        let delete = move |c: &_| collections::delete(c, collections::require(c, &path)?);
        self.catalog().write("delete an artifact", delete).await
    }
}
