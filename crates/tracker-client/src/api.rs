use std::{fmt, sync::Arc};

use crate::{Run, Runs, Sweep, address, cache::Cache};
use futures::{StreamExt, TryStreamExt, stream::BoxStream};
use tracker_model::{
    EntityName, Error, ErrorKind, Project, ProjectPath, Result, RunPath, RunQuery, SweepPath,
    Tracker,
};

/// A tracker, and the entity that addresses without one are in. Clones are cheap.
///
/// What it has read it remembers, as `wandb.Api()` does: [`Api::run`] and [`Api::runs`] with the same
/// arguments answer the same again, until [`Api::flush`]. What handles of this API (and of its
/// clones) change is seen at once; what others change is not, but by [`Run::reload`]. The memory is
/// bounded: a thousand runs and sixteen lists, the latest of both. [`Api::without_cache`] asks the
/// tracker each time. Sweeps, files and histories are always asked for.
///
/// Source: `wandb.Api()`.
#[derive(Clone)]
pub struct Api {
    tracker: Arc<dyn Tracker>,
    entity: EntityName,
    base: Option<Arc<str>>,
    cache: Option<Arc<Cache>>,
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
            cache: Some(Arc::default()),
        }
    }

    /// With another default entity.
    #[must_use]
    pub fn with_entity(mut self, entity: EntityName) -> Self {
        self.entity = entity;
        self
    }

    /// Remembers nothing: every call asks the tracker.
    #[must_use]
    pub fn without_cache(mut self) -> Self {
        self.cache = None;
        self
    }

    /// Forgets what was read, so that what others have changed since is seen.
    pub fn flush(&self) {
        if let Some(cache) = &self.cache {
            cache.flush();
        }
    }

    pub(crate) fn cache(&self) -> Option<&Cache> {
        self.cache.as_deref()
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

    /// The address of a sweep: `ENTITY/PROJECT/SWEEP`, `PROJECT/SWEEP`, or that of its page.
    ///
    /// # Errors
    /// `InvalidInput` if it is none.
    pub fn sweep_path(&self, text: &str) -> Result<SweepPath> {
        address::sweep(text, &self.entity)
    }

    /// The run at an address as of [`Api::run_path`]. What was read before is not read again, see
    /// [`Api`].
    ///
    /// # Errors
    /// `InvalidInput` if the text is no address; `NotFound`.
    pub async fn run(&self, path: &str) -> Result<Run> {
        self.run_at(&self.run_path(path)?).await
    }

    /// The run at an address.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn run_at(&self, path: &RunPath) -> Result<Run> {
        let known = self.cache().map(|cache| (cache, cache.run(path)));
        let record = match known {
            Some((_, Ok(record))) => record,
            Some((cache, Err(mark))) => {
                let record = Arc::new(self.tracker.run(path).await?);
                cache.learn(mark, &record);
                record
            }
            None => Arc::new(self.tracker.run(path).await?),
        };
        Ok(Run::new(self.clone(), record))
    }

    /// A handle on a run that was read already.
    pub fn run_of(&self, record: tracker_model::Run) -> Run {
        Run::new(self.clone(), Arc::new(record))
    }

    /// The runs of a project, newest first; [`Runs`] chooses and orders them. Nothing is read yet.
    ///
    /// # Errors
    /// `InvalidInput` if the text is no address of a project.
    pub fn runs(&self, project: &str) -> Result<Runs> {
        let path = self.project_path(project)?;
        Ok(Runs::new(self.clone(), RunQuery::of_project(&path)))
    }

    /// The runs that a query asks for, its limit aside, of one project or of many.
    pub fn find_runs(&self, mut query: RunQuery) -> Runs {
        query.limit = None;
        Runs::new(self.clone(), query)
    }

    /// The sweep at an address as of [`Api::sweep_path`].
    ///
    /// # Errors
    /// `InvalidInput` if the text is no address; `NotFound`.
    pub async fn sweep(&self, path: &str) -> Result<Sweep> {
        self.sweep_at(&self.sweep_path(path)?).await
    }

    /// The sweep at an address.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn sweep_at(&self, path: &SweepPath) -> Result<Sweep> {
        let record = self.tracker.sweep(path).await?;
        Ok(Sweep::new(self.clone(), record))
    }

    /// The sweeps of a project, newest first.
    ///
    /// # Errors
    /// `InvalidInput` if the text is no address of a project; in the stream, `NotFound`.
    pub fn sweeps(&self, project: &str) -> Result<BoxStream<'static, Result<Sweep>>> {
        Ok(self.sweeps_at(&self.project_path(project)?))
    }

    /// The sweeps of a project, newest first; in the stream, `NotFound`.
    pub fn sweeps_at(&self, project: &ProjectPath) -> BoxStream<'static, Result<Sweep>> {
        let (api, sweeps) = (self.clone(), self.tracker.sweeps(project));
        sweeps
            .map_ok(move |record| Sweep::new(api.clone(), record))
            .boxed()
    }

    /// `NotFound` without the project, with the same name in other entities as hint.
    pub(crate) async fn check_project(&self, path: &ProjectPath) -> Result<()> {
        let missing = match self.tracker.project(path).await {
            Err(e) if e.kind() == ErrorKind::NotFound => e,
            other => return other.map(drop),
        };
        let mut others = Vec::new();
        let mut projects = self.tracker.projects(None);
        while let Some(project) = projects.try_next().await? {
            if project.path.project == path.project && others.len() < 3 {
                others.push(project.path.to_string());
            }
        }
        Err(match others.is_empty() {
            true => missing,
            false => missing.with_hint(format!("did you mean {}?", others.join(" or "))),
        })
    }

    /// The projects of an entity, by name; those of the default entity without one.
    pub fn projects(&self, entity: Option<&EntityName>) -> BoxStream<'static, Result<Project>> {
        self.tracker.projects(Some(entity.unwrap_or(&self.entity)))
    }
}
