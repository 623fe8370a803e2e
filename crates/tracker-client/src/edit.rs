use serde_json::Value as Json;
use tracker_model::{
    Change, Error, ErrorKind, JsonObject, JsonPatch, Precondition, Result, Run, RunPatch, RunPath,
    RunState, Timestamp, Tracker,
};

use crate::{Section, keys::way_to};

/// How often an edit begins anew when somebody else changes the run at the same moment.
const TRIES: usize = 100;

/// Changes to a run that has been logged: what is not named stays as it is.
///
/// All of an edit is made in one step. It is made to the run as the tracker has it then, not as it
/// was when somebody read it, so that editors of different keys lose nothing of each other.
#[derive(Debug, Clone, Default)]
pub struct RunEdit {
    changes: Vec<Edit>,
}

#[derive(Debug, Clone)]
enum Edit {
    Set(Section, Key, Json),
    Remove(Section, Key),
    Rename(Section, Key, Key),
    Name(Option<String>),
    Notes(Option<String>),
    Group(Option<String>),
    JobType(Option<String>),
    State(RunState),
    Stop(Timestamp),
    Tags(Vec<String>),
    AddTag(String),
    RemoveTag(String),
}

/// Which value of an object.
#[derive(Debug, Clone)]
enum Key {
    /// The keys to follow.
    Exact(Vec<String>),
    /// With dots, as filters find it.
    Dotted(String),
}

impl Key {
    fn of<K: Into<String>>(keys: impl IntoIterator<Item = K>) -> Self {
        Self::Exact(path(keys))
    }

    /// The keys to follow in this object.
    fn way(&self, object: &JsonObject) -> Vec<String> {
        match self {
            Self::Exact(keys) => keys.clone(),
            Self::Dotted(key) => way_to(object, key),
        }
    }
}

impl Section {
    fn of(self, run: &mut Run) -> &mut JsonObject {
        match self {
            Self::Config => &mut run.config,
            Self::Summary => &mut run.summary,
        }
    }
}

fn path<K: Into<String>>(keys: impl IntoIterator<Item = K>) -> Vec<String> {
    keys.into_iter().map(Into::into).collect()
}

impl RunEdit {
    /// Changes nothing.
    pub fn new() -> Self {
        Self::default()
    }

    fn and(mut self, edit: Edit) -> Self {
        self.changes.push(edit);
        self
    }

    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Sets a key of the config. A dot in it is a part of the key.
    #[must_use]
    pub fn config(self, key: impl Into<String>, value: impl Into<Json>) -> Self {
        self.config_at([key], value)
    }

    /// Sets a key inside objects of the config, which are made where there are none.
    #[must_use]
    pub fn config_at<K: Into<String>>(
        self,
        keys: impl IntoIterator<Item = K>,
        value: impl Into<Json>,
    ) -> Self {
        self.and(Edit::Set(Section::Config, Key::of(keys), value.into()))
    }

    /// Removes a key of the config.
    #[must_use]
    pub fn remove_config<K: Into<String>>(self, keys: impl IntoIterator<Item = K>) -> Self {
        self.and(Edit::Remove(Section::Config, Key::of(keys)))
    }

    /// Gives a value of the config another key.
    #[must_use]
    pub fn rename_config<K: Into<String>, L: Into<String>>(
        self,
        from: impl IntoIterator<Item = K>,
        to: impl IntoIterator<Item = L>,
    ) -> Self {
        self.and(Edit::Rename(Section::Config, Key::of(from), Key::of(to)))
    }

    /// Sets a key of the summary. A dot in it is a part of the key.
    #[must_use]
    pub fn summary(self, key: impl Into<String>, value: impl Into<Json>) -> Self {
        self.summary_at([key], value)
    }

    /// Sets a key inside objects of the summary, which are made where there are none.
    #[must_use]
    pub fn summary_at<K: Into<String>>(
        self,
        keys: impl IntoIterator<Item = K>,
        value: impl Into<Json>,
    ) -> Self {
        self.and(Edit::Set(Section::Summary, Key::of(keys), value.into()))
    }

    /// Removes a key of the summary. The history keeps what was logged under it.
    #[must_use]
    pub fn remove_summary<K: Into<String>>(self, keys: impl IntoIterator<Item = K>) -> Self {
        self.and(Edit::Remove(Section::Summary, Key::of(keys)))
    }

    /// Gives a value of the summary another key. The history keeps the key.
    #[must_use]
    pub fn rename_summary<K: Into<String>, L: Into<String>>(
        self,
        from: impl IntoIterator<Item = K>,
        to: impl IntoIterator<Item = L>,
    ) -> Self {
        self.and(Edit::Rename(Section::Summary, Key::of(from), Key::of(to)))
    }

    /// Sets a key with dots: the one that filters find under this text, whole or in nested objects.
    /// A new one is made inside of nested objects.
    #[must_use]
    pub fn set(self, section: Section, key: impl Into<String>, value: impl Into<Json>) -> Self {
        self.and(Edit::Set(section, Key::Dotted(key.into()), value.into()))
    }

    /// Removes a key with dots, as [`RunEdit::set`] finds it.
    #[must_use]
    pub fn remove(self, section: Section, key: impl Into<String>) -> Self {
        self.and(Edit::Remove(section, Key::Dotted(key.into())))
    }

    /// Gives a value another key, both as [`RunEdit::set`] finds them. The history keeps the key.
    #[must_use]
    pub fn rename(self, section: Section, from: impl Into<String>, to: impl Into<String>) -> Self {
        let (from, to) = (Key::Dotted(from.into()), Key::Dotted(to.into()));
        self.and(Edit::Rename(section, from, to))
    }

    /// Sets the display name, or takes it away.
    #[must_use]
    pub fn name(self, name: Option<String>) -> Self {
        self.and(Edit::Name(name))
    }

    /// Sets the notes, or takes them away.
    #[must_use]
    pub fn notes(self, notes: Option<String>) -> Self {
        self.and(Edit::Notes(notes))
    }

    /// Puts the run into a group, or takes it out.
    #[must_use]
    pub fn group(self, group: Option<String>) -> Self {
        self.and(Edit::Group(group))
    }

    /// Says what the run did in its group, or nothing.
    #[must_use]
    pub fn job_type(self, job_type: Option<String>) -> Self {
        self.and(Edit::JobType(job_type))
    }

    /// Sets the state.
    #[must_use]
    pub fn state(self, state: RunState) -> Self {
        self.and(Edit::State(state))
    }

    /// Sets the state to [`RunState::Killed`] and the time when the execution ended, unless the run
    /// has ended already.
    #[must_use]
    pub fn stop(self, at: Timestamp) -> Self {
        self.and(Edit::Stop(at))
    }

    /// Sets all labels.
    #[must_use]
    pub fn tags<T: Into<String>>(self, tags: impl IntoIterator<Item = T>) -> Self {
        self.and(Edit::Tags(path(tags)))
    }

    /// Adds a label, if the run does not have it.
    #[must_use]
    pub fn add_tag(self, tag: impl Into<String>) -> Self {
        self.and(Edit::AddTag(tag.into()))
    }

    /// Removes a label, if the run has it.
    #[must_use]
    pub fn remove_tag(self, tag: impl Into<String>) -> Self {
        self.and(Edit::RemoveTag(tag.into()))
    }

    /// The run with the changes made.
    ///
    /// # Errors
    /// `NotFound` if a key that is to be removed or renamed is not there; `AlreadyExists` if there
    /// is one with the new name; `InvalidInput` if a key lies inside something that is no object.
    pub fn preview(&self, run: &Run) -> Result<Run> {
        let mut run = run.clone();
        for change in &self.changes {
            apply(change, &mut run)?;
        }
        Ok(run)
    }

    /// Makes the changes.
    pub(crate) async fn make(&self, tracker: &dyn Tracker, path: &RunPath) -> Result<Run> {
        let can_check = tracker.capabilities().atomic_changes;
        for _ in 0..TRIES {
            let now = tracker.run(path).await?;
            let patch = difference(&now, self.preview(&now)?);
            if patch == RunPatch::new() {
                return Ok(now);
            }
            let pre = if can_check {
                Precondition::Version(now.version)
            } else {
                Precondition::Present
            };
            match tracker.upsert_run(path, patch, pre).await {
                Err(e) if e.kind() == ErrorKind::Conflict => {}
                done => return done,
            }
        }
        Err(Error::new(
            ErrorKind::Conflict,
            format!("change run {path}: others change it all the time"),
        )
        .with_hint("try again"))
    }
}

fn apply(change: &Edit, run: &mut Run) -> Result<()> {
    match change {
        Edit::Set(part, keys, value) => {
            let place = run.path.clone();
            let keys = keys.way(part.of(run));
            let (object, last) = descend(part.of(run), *part, &keys, true, &place)?;
            object.insert(last.to_owned(), value.clone());
        }
        Edit::Remove(part, keys) => {
            let keys = keys.way(part.of(run));
            take(*part, &keys, run)?;
        }
        Edit::Rename(part, from, to) => {
            let from = from.way(part.of(run));
            let value = take(*part, &from, run)?;
            let place = run.path.clone();
            let to = to.way(part.of(run));
            let (object, last) = descend(part.of(run), *part, &to, true, &place)?;
            if object.contains_key(last) {
                let message = format!("{} has {} already", place, named(*part, &to));
                return Err(Error::new(ErrorKind::AlreadyExists, message)
                    .with_hint("remove that first, or choose another name"));
            }
            object.insert(last.to_owned(), value);
        }
        Edit::Name(name) => run.name.clone_from(name),
        Edit::Notes(notes) => run.notes.clone_from(notes),
        Edit::Group(group) => run.group.clone_from(group),
        Edit::JobType(job_type) => run.job_type.clone_from(job_type),
        Edit::State(state) => run.state = *state,
        Edit::Stop(_) if run.state.is_terminal() => {}
        Edit::Stop(at) => (run.state, run.ended_at) = (RunState::Killed, Some(*at)),
        Edit::Tags(tags) => {
            run.tags.clear();
            for tag in tags {
                add_tag(run, tag);
            }
        }
        Edit::AddTag(tag) => add_tag(run, tag),
        Edit::RemoveTag(tag) => run.tags.retain(|t| t != tag),
    }
    Ok(())
}

fn add_tag(run: &mut Run, tag: &str) {
    if !run.tags.iter().any(|t| t == tag) {
        run.tags.push(tag.to_owned());
    }
}

fn take(part: Section, keys: &[String], run: &mut Run) -> Result<Json> {
    let place = run.path.clone();
    let missing = || Error::not_found(format_args!("{} of run {place}", named(part, keys)));
    let (object, last) = descend(part.of(run), part, keys, false, &place).map_err(|e| {
        if e.kind() == ErrorKind::NotFound {
            missing()
        } else {
            e
        }
    })?;
    object.remove(last).ok_or_else(missing)
}

/// The object that the last key is in, and that key.
fn descend<'a, 'k>(
    mut object: &'a mut JsonObject,
    part: Section,
    keys: &'k [String],
    make: bool,
    place: &RunPath,
) -> Result<(&'a mut JsonObject, &'k str)> {
    let Some((last, above)) = keys.split_last() else {
        return Err(Error::invalid(format!(
            "an empty key of the {}",
            part.as_str()
        )));
    };
    for (i, key) in above.iter().enumerate() {
        let so_far = || named(part, keys.get(..=i).unwrap_or(keys));
        if make && !object.contains_key(key) {
            object.insert(key.clone(), Json::Object(JsonObject::new()));
        }
        object = match object.get_mut(key) {
            Some(Json::Object(inner)) => inner,
            Some(_) => {
                return Err(Error::invalid(format!(
                    "{} of run {place} is not an object, so it has no {last:?}",
                    so_far()
                )));
            }
            None => {
                return Err(Error::not_found(format_args!(
                    "{} of run {place}",
                    so_far()
                )));
            }
        };
    }
    Ok((object, last))
}

fn named(part: Section, keys: &[String]) -> String {
    format!("{}.{}", part.as_str(), keys.join("."))
}

/// The change from one to the other that names only what differs.
fn difference(now: &Run, wanted: Run) -> RunPatch {
    fn change<T: PartialEq>(now: &Option<T>, wanted: Option<T>) -> Change<T> {
        if *now == wanted {
            Change::Keep
        } else {
            Change::of(wanted)
        }
    }
    let mut patch = RunPatch::new();
    patch.name = change(&now.name, wanted.name);
    patch.notes = change(&now.notes, wanted.notes);
    patch.group = change(&now.group, wanted.group);
    patch.job_type = change(&now.job_type, wanted.job_type);
    patch.ended_at = change(&now.ended_at, wanted.ended_at);
    patch.state = (now.state != wanted.state).then_some(wanted.state);
    patch.tags = (now.tags != wanted.tags).then_some(wanted.tags);
    patch.config = keys_that_differ(&now.config, wanted.config);
    patch.summary = keys_that_differ(&now.summary, wanted.summary);
    patch
}

fn keys_that_differ(now: &JsonObject, mut wanted: JsonObject) -> JsonPatch {
    let remove: Vec<String> = now
        .keys()
        .filter(|key| !wanted.contains_key(*key))
        .cloned()
        .collect();
    wanted.retain(|key, value| now.get(key) != Some(value));
    if remove.is_empty() && wanted.is_empty() {
        JsonPatch::Keep
    } else {
        JsonPatch::Merge {
            set: wanted,
            remove,
        }
    }
}
