use async_trait::async_trait;
use futures::stream::BoxStream;
use tracker_model::{EntityName, Error, Project, ProjectPatch, ProjectPath, ProjectStore, Result};

use super::{EmbeddedStore, pages::paginate};
use crate::catalog::projects;

const PAGE: usize = 500;

#[async_trait]
impl ProjectStore for EmbeddedStore {
    fn projects(&self, entity: Option<&EntityName>) -> BoxStream<'static, Result<Project>> {
        let (store, entity) = (self.clone(), entity.cloned());
        paginate(move |after: Option<ProjectPath>| {
            let (store, entity) = (store.clone(), entity.clone());
            async move {
                let list = move |c: &_| projects::page(c, entity.as_ref(), after.as_ref(), PAGE);
                let page = store.catalog().read("list projects", list).await?;
                let last = page.last().map(|p| p.path.clone());
                Ok((page, last))
            }
        })
    }

    async fn project(&self, path: &ProjectPath) -> Result<Project> {
        let key = path.clone();
        let found = self
            .catalog()
            .look_up("read a project", move |c| projects::find(c, &key))
            .await?;
        found
            .map(|(_, project)| project)
            .ok_or_else(|| Error::not_found(format_args!("project {path}")))
    }

    async fn upsert_project(&self, path: &ProjectPath, patch: ProjectPatch) -> Result<Project> {
        let path = path.clone();
        let change = move |c: &_| match projects::find(c, &path)? {
            Some((id, mut project)) => {
                patch.apply(&mut project);
                projects::update(c, id, &project)?;
                Ok(project)
            }
            None => {
                let mut project = projects::empty(path);
                patch.apply(&mut project);
                projects::insert(c, &project)?;
                Ok(project)
            }
        };
        self.catalog().write("write a project", change).await
    }
}
