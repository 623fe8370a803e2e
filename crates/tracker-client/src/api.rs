use std::{fmt, sync::Arc};

use crate::{Run, address};
use futures::stream::BoxStream;
use tracker_model::{EntityName, Error, Project, ProjectPath, Result, RunPath, Tracker};

/// A tracker, and the entity that addresses without one are in. Clones are cheap.
///
/// Source: `wandb.Api()`. Nothing is cached: every call asks the tracker, and a [`Run`] is what was
/// there when it was read, until [`Run::reload`].
#[derive(Clone)]
pub struct Api {
    tracker: Arc<dyn Tracker>,
    entity: EntityName,
    base: Option<Arc<str>>,
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api")
            .field("tracker", &format_args!("{}", self.tracker))
            .field("entity", &self.entity)
            .finish()
    }
}

impl Api {
    /// Over a tracker; the default entity is `local`, where imports go.
    pub fn new(tracker: Arc<dyn Tracker>) -> Self {
        Self {
            tracker,
            entity: EntityName::legalised("local"),
            base: None,
        }
    }

    /// With another default entity.
    #[must_use]
    pub fn with_entity(mut self, entity: EntityName) -> Self {
        self.entity = entity;
        self
    }

    /// With pages of runs below this address, such as `https://example.org`.
    ///
    /// # Errors
    /// `InvalidInput` if it is not an address of the web.
    pub fn with_base_url(mut self, base: &str) -> Result<Self> {
        let host = ["http://", "https://"]
            .into_iter()
            .find_map(|scheme| base.strip_prefix(scheme));
        if host.is_none_or(|host| host.trim_matches('/').is_empty()) {
            return Err(Error::invalid(format!("{base:?} is not an address"))
                .with_hint("write one that begins with https:// or http://"));
        }
        self.base = Some(Arc::from(base.trim_end_matches('/')));
        Ok(self)
    }

    /// The address of the page of a run.
    pub(crate) fn page_of(&self, run: &RunPath) -> Option<String> {
        self.base.as_ref().map(|base| address::page(base, run))
    }

    /// The entity that addresses without one are in.
    pub fn default_entity(&self) -> &EntityName {
        &self.entity
    }

    /// What the handles work on.
    pub fn tracker(&self) -> &Arc<dyn Tracker> {
        &self.tracker
    }

    /// The address of a project: `ENTITY/PROJECT`, `PROJECT`, or that of its page.
    ///
    /// # Errors
    /// `InvalidInput` if it is none.
    pub fn project_path(&self, text: &str) -> Result<ProjectPath> {
        address::project(text, &self.entity)
    }

    /// The address of a run: `ENTITY/PROJECT/RUN`, `PROJECT/RUN`, or that of its page.
    ///
    /// # Errors
    /// `InvalidInput` if it is none.
    pub fn run_path(&self, text: &str) -> Result<RunPath> {
        address::run(text, &self.entity)
    }

    /// The run at an address as of [`Api::run_path`].
    ///
    /// # Errors
    /// `InvalidInput` if the text is no address; `NotFound`.
    pub async fn run(&self, path: &str) -> Result<Run> {
        let path = self.run_path(path)?;
        let record = self.tracker.run(&path).await?;
        Ok(Run::new(self.clone(), record))
    }

    /// The projects of an entity, by name; those of the default entity without one.
    pub fn projects(&self, entity: Option<&EntityName>) -> BoxStream<'static, Result<Project>> {
        self.tracker.projects(Some(entity.unwrap_or(&self.entity)))
    }
}
