use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::{Error, ProjectPath, RunId, RunPath, Timestamp};

/// A JSON object, such as a config or a summary. Integers stay integers. JSON has no non-finite
/// numbers: they are the strings `"NaN"`, `"Infinity"` and `"-Infinity"`.
pub type JsonObject = serde_json::Map<String, Json>;

/// What a run is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RunState {
    /// Scheduled, not started. MLflow `SCHEDULED`, W&B `pending`.
    Pending,
    /// Logging.
    Running,
    /// Ended well.
    Finished,
    /// Ended with an error.
    Failed,
    /// Ended by somebody. MLflow `KILLED`, W&B `killed`.
    Killed,
    /// Nothing has been heard of it for too long. W&B `crashed`.
    Crashed,
    /// About to be taken off its machine. W&B `preempting`.
    Preempting,
    /// Taken off its machine. W&B `preempted`.
    Preempted,
}

impl RunState {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Pending,
        Self::Running,
        Self::Finished,
        Self::Failed,
        Self::Killed,
        Self::Crashed,
        Self::Preempting,
        Self::Preempted,
    ];

    /// The word in JSON and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Finished => "finished",
            Self::Failed => "failed",
            Self::Killed => "killed",
            Self::Crashed => "crashed",
            Self::Preempting => "preempting",
            Self::Preempted => "preempted",
        }
    }

    /// Whether no more is expected of the run.
    pub fn is_terminal(self) -> bool {
        matches!(
            self,
            Self::Finished | Self::Failed | Self::Killed | Self::Crashed
        )
    }
}

impl fmt::Display for RunState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where the code came from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Git {
    /// The commit's hash.
    pub commit: Option<String>,
    /// The remote's URL.
    pub remote: Option<String>,
    /// The branch.
    pub branch: Option<String>,
}

/// A dataset that a run read. Source: MLflow `inputs.dataset_inputs`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DatasetInput {
    /// The dataset's name.
    pub name: String,
    /// The dataset's digest as its tracker computed it.
    pub digest: String,
    /// What kind of place it came from, such as `local` or `s3`.
    pub source_type: Option<String>,
    /// The place, as the source wrote it (JSON text in MLflow).
    pub source: Option<String>,
    /// The columns, as the source wrote them.
    pub schema: Option<String>,
    /// Statistics, as the source wrote them.
    pub profile: Option<String>,
    /// What it was used for, such as `train`. Source: MLflow tag `mlflow.data.context`.
    pub context: Option<String>,
    /// All tags of the input.
    pub tags: JsonObject,
}

/// Where an imported run came from. A run that has a stamp whose import is not complete was cut
/// off, and is finished by the next import.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportStamp {
    /// The identity of the source, stable over hosts and restarts.
    pub source: String,
    /// The run's id there.
    pub run: String,
    /// Whether all of the run has arrived.
    pub complete: bool,
    /// What the run looked like at the source when it was read; equal means unchanged.
    pub fingerprint: String,
}

/// A run, without its history, files and artifacts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// The address.
    pub path: RunPath,
    /// The display name.
    pub name: Option<String>,
    /// What it is doing.
    pub state: RunState,
    /// When the tracker first heard of it.
    pub created_at: Timestamp,
    /// When the execution began.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// When it was last heard of.
    pub heartbeat_at: Option<Timestamp>,
    /// Whether it was deleted at its source, or here.
    pub deleted: bool,
    /// Who ran it.
    pub user: Option<String>,
    /// On which host.
    pub host: Option<String>,
    /// The program.
    pub program: Option<String>,
    /// The program's arguments.
    pub args: Vec<String>,
    /// The code's origin.
    pub git: Option<Git>,
    /// The group that it belongs to.
    pub group: Option<String>,
    /// What it did in the group.
    pub job_type: Option<String>,
    /// Labels. Key-value tags of other trackers are in `extras`.
    pub tags: Vec<String>,
    /// Free text, Markdown.
    pub notes: Option<String>,
    /// The hyperparameters.
    pub config: JsonObject,
    /// The results.
    pub summary: JsonObject,
    /// The run that started this one; an id, as the parent may be in another project or gone.
    pub parent: Option<RunId>,
    /// The sweep that it is a part of.
    pub sweep: Option<String>,
    /// The datasets that it read.
    pub inputs: Vec<DatasetInput>,
    /// What the source says that this model has no name for, verbatim, under the source's name.
    pub extras: JsonObject,
    /// Where it came from, for imported runs.
    pub import: Option<ImportStamp>,
    /// Counts the changes, from 1.
    pub version: u64,
}

impl Run {
    /// A run with nothing but an address.
    pub fn new(path: RunPath, created_at: Timestamp) -> Self {
        Self {
            path,
            name: None,
            state: RunState::Pending,
            created_at,
            started_at: None,
            ended_at: None,
            heartbeat_at: None,
            deleted: false,
            user: None,
            host: None,
            program: None,
            args: Vec::new(),
            git: None,
            group: None,
            job_type: None,
            tags: Vec::new(),
            notes: None,
            config: JsonObject::new(),
            summary: JsonObject::new(),
            parent: None,
            sweep: None,
            inputs: Vec::new(),
            extras: JsonObject::new(),
            import: None,
            version: 0,
        }
    }
}

/// What to do to an optional field.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change<T> {
    /// Leave it.
    #[default]
    Keep,
    /// Put this there.
    Set(T),
    /// Take it away.
    Clear,
}

impl<T> Change<T> {
    /// `Some` sets, `None` clears.
    pub fn of(value: Option<T>) -> Self {
        value.map_or(Self::Clear, Self::Set)
    }

    /// Makes the change.
    pub fn apply(self, to: &mut Option<T>) {
        match self {
            Self::Keep => {}
            Self::Set(value) => *to = Some(value),
            Self::Clear => *to = None,
        }
    }
}

/// What to do to a JSON object.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JsonPatch {
    /// Leave it.
    #[default]
    Keep,
    /// Put this there instead.
    Replace(JsonObject),
    /// Set these top-level keys and remove those; what is in neither list stays.
    Merge {
        /// Keys to set.
        set: JsonObject,
        /// Keys to remove, before any is set. Missing ones are no error.
        remove: Vec<String>,
    },
}

impl JsonPatch {
    /// Makes the change.
    pub fn apply(self, to: &mut JsonObject) {
        match self {
            Self::Keep => {}
            Self::Replace(object) => *to = object,
            Self::Merge { set, remove } => {
                for key in remove {
                    to.remove(&key);
                }
                to.extend(set);
            }
        }
    }
}

macro_rules! setters {
    ($($(#[$doc:meta])* $with:ident($field:ident: $type:ty) = $value:expr;)*) => {
        $($(#[$doc])*
        #[must_use]
        pub fn $with(mut self, $field: $type) -> Self {
            self.$field = $value;
            self
        })*
    };
}
pub(crate) use setters;

/// A change to a run: what it does not name stays as it is.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct RunPatch {
    /// See [`Run::name`].
    pub name: Change<String>,
    /// See [`Run::state`].
    pub state: Option<RunState>,
    /// See [`Run::created_at`]. A new run without it is created now.
    pub created_at: Option<Timestamp>,
    /// See [`Run::started_at`].
    pub started_at: Change<Timestamp>,
    /// See [`Run::ended_at`].
    pub ended_at: Change<Timestamp>,
    /// See [`Run::heartbeat_at`].
    pub heartbeat_at: Change<Timestamp>,
    /// See [`Run::deleted`].
    pub deleted: Option<bool>,
    /// See [`Run::user`].
    pub user: Change<String>,
    /// See [`Run::host`].
    pub host: Change<String>,
    /// See [`Run::program`].
    pub program: Change<String>,
    /// See [`Run::args`].
    pub args: Option<Vec<String>>,
    /// See [`Run::git`].
    pub git: Change<Git>,
    /// See [`Run::group`].
    pub group: Change<String>,
    /// See [`Run::job_type`].
    pub job_type: Change<String>,
    /// See [`Run::tags`].
    pub tags: Option<Vec<String>>,
    /// See [`Run::notes`].
    pub notes: Change<String>,
    /// See [`Run::config`].
    pub config: JsonPatch,
    /// See [`Run::summary`].
    pub summary: JsonPatch,
    /// See [`Run::parent`].
    pub parent: Change<RunId>,
    /// See [`Run::sweep`].
    pub sweep: Change<String>,
    /// See [`Run::inputs`].
    pub inputs: Option<Vec<DatasetInput>>,
    /// See [`Run::extras`].
    pub extras: JsonPatch,
    /// See [`Run::import`].
    pub import: Change<ImportStamp>,
}

impl RunPatch {
    /// A change that changes nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// The change that makes any run equal to this one, but for its address and version.
    pub fn replacing_all(run: &Run) -> Self {
        let run = run.clone();
        Self {
            name: Change::of(run.name),
            state: Some(run.state),
            created_at: Some(run.created_at),
            started_at: Change::of(run.started_at),
            ended_at: Change::of(run.ended_at),
            heartbeat_at: Change::of(run.heartbeat_at),
            deleted: Some(run.deleted),
            user: Change::of(run.user),
            host: Change::of(run.host),
            program: Change::of(run.program),
            args: Some(run.args),
            git: Change::of(run.git),
            group: Change::of(run.group),
            job_type: Change::of(run.job_type),
            tags: Some(run.tags),
            notes: Change::of(run.notes),
            config: JsonPatch::Replace(run.config),
            summary: JsonPatch::Replace(run.summary),
            parent: Change::of(run.parent),
            sweep: Change::of(run.sweep),
            inputs: Some(run.inputs),
            extras: JsonPatch::Replace(run.extras),
            import: Change::of(run.import),
        }
    }

    setters! {
        /// Sets the display name.
        with_name(name: impl Into<String>) = Change::Set(name.into());
        /// Sets the state.
        with_state(state: RunState) = Some(state);
        /// Sets the time of creation.
        with_created_at(created_at: Timestamp) = Some(created_at);
        /// Sets the labels.
        with_tags(tags: Vec<String>) = Some(tags);
        /// Sets the notes.
        with_notes(notes: impl Into<String>) = Change::Set(notes.into());
        /// Changes the config.
        with_config(config: JsonPatch) = config;
        /// Changes the summary.
        with_summary(summary: JsonPatch) = summary;
        /// Marks or unmarks the run as deleted.
        with_deleted(deleted: bool) = Some(deleted);
    }

    /// Makes the change. The version is the tracker's to count.
    pub fn apply(self, run: &mut Run) {
        let Self {
            name,
            state,
            created_at,
            started_at,
            ended_at,
            heartbeat_at,
            deleted,
            user,
            host,
            program,
            args,
            git,
            group,
            job_type,
            tags,
            notes,
            config,
            summary,
            parent,
            sweep,
            inputs,
            extras,
            import,
        } = self;
        name.apply(&mut run.name);
        run.state = state.unwrap_or(run.state);
        run.created_at = created_at.unwrap_or(run.created_at);
        started_at.apply(&mut run.started_at);
        ended_at.apply(&mut run.ended_at);
        heartbeat_at.apply(&mut run.heartbeat_at);
        run.deleted = deleted.unwrap_or(run.deleted);
        user.apply(&mut run.user);
        host.apply(&mut run.host);
        program.apply(&mut run.program);
        if let Some(args) = args {
            run.args = args;
        }
        git.apply(&mut run.git);
        group.apply(&mut run.group);
        job_type.apply(&mut run.job_type);
        if let Some(tags) = tags {
            run.tags = tags;
        }
        notes.apply(&mut run.notes);
        config.apply(&mut run.config);
        summary.apply(&mut run.summary);
        parent.apply(&mut run.parent);
        sweep.apply(&mut run.sweep);
        if let Some(inputs) = inputs {
            run.inputs = inputs;
        }
        extras.apply(&mut run.extras);
        import.apply(&mut run.import);
    }
}

/// What must hold for a change to be made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Precondition {
    /// Nothing.
    #[default]
    None,
    /// The run does not exist; otherwise `AlreadyExists`.
    Absent,
    /// The run exists; otherwise `NotFound`.
    Present,
    /// The run has this version; otherwise `Conflict`.
    Version(u64),
}

impl Precondition {
    /// Checks the condition against the version of the run, if there is one.
    ///
    /// # Errors
    /// As the variants say.
    pub fn check(self, path: &RunPath, version: Option<u64>) -> crate::Result<()> {
        use crate::ErrorKind::{AlreadyExists, Conflict};
        match (self, version) {
            (Self::Absent, Some(_)) => Err(Error::new(
                AlreadyExists,
                format!("run {path} exists already"),
            )),
            (Self::Present | Self::Version(_), None) => {
                Err(Error::not_found(format_args!("run {path}")))
            }
            (Self::Version(want), Some(have)) if want != have => Err(Error::new(
                Conflict,
                format!("run {path} was changed meanwhile: it has version {have}, not {want}"),
            )),
            _ => Ok(()),
        }
    }
}

/// A project. Source: MLflow experiment, W&B project.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Project {
    /// The address.
    pub path: ProjectPath,
    /// Free text, Markdown. Source: MLflow tag `mlflow.note.content`.
    pub description: Option<String>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed at its source.
    pub updated_at: Option<Timestamp>,
    /// Whether it was deleted at its source, or here.
    pub deleted: bool,
    /// What the source says that this model has no name for, verbatim, under the source's name.
    pub extras: JsonObject,
}

impl Project {
    /// A project with nothing but an address.
    pub fn new(path: ProjectPath, created_at: Timestamp) -> Self {
        Self {
            path,
            description: None,
            created_at,
            updated_at: None,
            deleted: false,
            extras: JsonObject::new(),
        }
    }
}

/// A change to a project: what it does not name stays as it is.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct ProjectPatch {
    /// See [`Project::description`].
    pub description: Change<String>,
    /// See [`Project::created_at`]. A new project without it is created now.
    pub created_at: Option<Timestamp>,
    /// See [`Project::updated_at`].
    pub updated_at: Change<Timestamp>,
    /// See [`Project::deleted`].
    pub deleted: Option<bool>,
    /// See [`Project::extras`].
    pub extras: JsonPatch,
}

impl ProjectPatch {
    /// A change that changes nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes the change.
    pub fn apply(self, project: &mut Project) {
        self.description.apply(&mut project.description);
        project.created_at = self.created_at.unwrap_or(project.created_at);
        self.updated_at.apply(&mut project.updated_at);
        project.deleted = self.deleted.unwrap_or(project.deleted);
        self.extras.apply(&mut project.extras);
    }
}
