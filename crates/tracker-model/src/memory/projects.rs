use async_trait::async_trait;
use futures::stream::BoxStream;

use super::{MemoryTracker, State, stream_of};
use crate::{
    EntityName, Error, JsonObject, Project, ProjectPatch, ProjectPath, ProjectStore, Result,
    Timestamp,
};

impl State {
    /// The project, which is made if there is none.
    pub(super) fn project_mut(&mut self, path: &ProjectPath) -> &mut Project {
        let make = || Project {
            path: path.clone(),
            description: None,
            created_at: Timestamp::now(),
            updated_at: None,
            deleted: false,
            extras: JsonObject::new(),
        };
        self.projects.entry(path.clone()).or_insert_with(make)
    }

    pub(super) fn project(&self, path: &ProjectPath) -> Result<&Project> {
        self.projects
            .get(path)
            .ok_or_else(|| Error::not_found(format_args!("project {path}")))
    }
}

#[async_trait]
impl ProjectStore for MemoryTracker {
    fn projects(&self, entity: Option<&EntityName>) -> BoxStream<'static, Result<Project>> {
        let state = self.state();
        let of_entity = |p: &&Project| entity.is_none_or(|e| p.path.entity == *e);
        let found: Vec<Project> = state.projects.values().filter(of_entity).cloned().collect();
        stream_of(Ok(found))
    }

    async fn project(&self, path: &ProjectPath) -> Result<Project> {
        self.state().project(path).cloned()
    }

    async fn upsert_project(&self, path: &ProjectPath, patch: ProjectPatch) -> Result<Project> {
        let mut state = self.state();
        let project = state.project_mut(path);
        patch.apply(project);
        Ok(project.clone())
    }
}
