use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use tracker_model::{
    EntityName, Error, ErrorKind, ProjectName, ProjectPath, Result, RunId, RunPath,
};

use super::ImportOptions;
use crate::{Ledger, LedgerKey, SourceId};

/// The entity of a store that was not told another.
const DEFAULT_ENTITY: &str = "local";

/// Where things of the source go in the target.
#[derive(Debug)]
pub(crate) struct Targets {
    source: SourceId,
    ledger: Arc<dyn Ledger>,
    options: ImportOptions,
    known: Mutex<HashMap<String, ProjectPath>>,
}

impl Targets {
    pub(crate) fn new(source: SourceId, ledger: Arc<dyn Ledger>, options: ImportOptions) -> Self {
        Self {
            source,
            ledger,
            options,
            known: Mutex::default(),
        }
    }

    /// Where a project of the source goes: where it went before, else a place of its own that its
    /// name gives. Whether the name had to be changed can be seen by comparing.
    pub(crate) async fn project(&self, id: &str, name: &str) -> Result<ProjectPath> {
        if let Some(path) = self
            .known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(id)
        {
            return Ok(path.clone());
        }
        let path = self.decide(id, name).await?;
        self.known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(id.to_owned(), path.clone());
        Ok(path)
    }

    async fn decide(&self, id: &str, name: &str) -> Result<ProjectPath> {
        let namespace = &self.options.namespace;
        let mapped = self.options.map.apply(name);
        let entity = match mapped
            .as_ref()
            .and_then(|(entity, _)| entity.clone())
            .or_else(|| namespace.entity.clone())
        {
            Some(entity) => entity,
            None => EntityName::new(DEFAULT_ENTITY)?,
        };
        if let (None, Some(project)) = (&mapped, &namespace.project) {
            return Ok(ProjectPath::new(entity, project.clone()));
        }
        let shared = mapped.is_some();
        let wanted = ProjectName::legalised(mapped.as_ref().map_or(name, |(_, new)| new));
        let path = ProjectPath::new(entity.clone(), wanted.clone());
        if shared {
            return Ok(path);
        }
        if let Some(bound) = self.ledger.project(&self.source, id).await? {
            let own = bound.project == wanted || bound.project == with_id(&wanted, id);
            if own && bound.entity == entity {
                return Ok(bound);
            }
        }
        if self.options.dry_run || self.ledger.bind_project(&self.source, id, &path).await? {
            return Ok(path);
        }
        let path = ProjectPath::new(entity, with_id(&wanted, id));
        if self.ledger.bind_project(&self.source, id, &path).await? {
            return Ok(path);
        }
        Err(Error::new(
            ErrorKind::Conflict,
            format!("project {name:?} ({id}) has no free name in the target"),
        )
        .with_hint("give it one with --map 'OLD=NEW'"))
    }

    /// Where a project that the source does not have goes, such as that of a registry.
    pub(crate) fn extra_project(&self, name: &str) -> Result<ProjectPath> {
        let namespace = &self.options.namespace;
        let entity = match &namespace.entity {
            Some(entity) => entity.clone(),
            None => EntityName::new(DEFAULT_ENTITY)?,
        };
        let project = namespace
            .project
            .clone()
            .unwrap_or_else(|| ProjectName::legalised(name));
        Ok(ProjectPath::new(entity, project))
    }

    /// Where a run of a project goes.
    pub(crate) async fn run(
        &self,
        project_id: &str,
        project_name: &str,
        id: &RunId,
    ) -> Result<RunPath> {
        Ok(self
            .project(project_id, project_name)
            .await?
            .run(id.clone()))
    }

    /// Where a run went, if it was imported.
    pub(crate) async fn imported_run(&self, id: &str) -> Result<Option<RunPath>> {
        let entry = self
            .ledger
            .entry(&self.source, &LedgerKey::Run(id.to_owned()))
            .await?;
        Ok(entry.filter(|e| e.done).and_then(|e| e.run_path()))
    }
}

fn with_id(name: &ProjectName, id: &str) -> ProjectName {
    ProjectName::legalised(&format!("{name}-{id}"))
}
