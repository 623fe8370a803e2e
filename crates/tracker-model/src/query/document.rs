use query_dsl::{Kind, Node};

use crate::{JsonObject, Run, Timestamp};

/// A run as filters and orders see it: a handle that reads the run in place.
///
/// Its fields are those of [`super::RunVocabulary`] under their resolved names; what a run does not
/// have is missing. Times are dates in milliseconds, what is below a millisecond is cut off.
/// `duration` is in seconds, from the start to the end, or to when it was last heard of. In config,
/// summary and extras, the strings that stand for non-finite numbers ([`JsonObject`]) are numbers.
#[derive(Debug, Clone, Copy)]
pub struct RunNode<'a>(Part<'a>);

#[derive(Debug, Clone, Copy)]
enum Part<'a> {
    Run(&'a Run),
    Object(&'a JsonObject),
    Json(&'a serde_json::Value),
    Texts(&'a [String]),
    Text(&'a str),
    Date(i64),
    Seconds(f64),
    Bool(bool),
}

impl<'a> RunNode<'a> {
    /// A run.
    pub fn new(run: &'a Run) -> Self {
        Self(Part::Run(run))
    }
}

/// The number that a string stands for in a [`JsonObject`], as JSON has no such numbers.
pub fn non_finite(text: &str) -> Option<f64> {
    match text {
        "NaN" => Some(f64::NAN),
        "Infinity" => Some(f64::INFINITY),
        "-Infinity" => Some(f64::NEG_INFINITY),
        _ => None,
    }
}

impl Run {
    /// How long it took, or takes as far as is known, in seconds.
    pub fn duration(&self) -> Option<f64> {
        let end = self.ended_at.or(self.heartbeat_at)?;
        Some(Timestamp::seconds_between(self.started_at?, end))
    }
}

fn field<'a>(run: &'a Run, name: &str) -> Option<Part<'a>> {
    let text = |text: &'a Option<String>| text.as_deref().map(Part::Text);
    let date = |time: Option<Timestamp>| time.map(|time| Part::Date(time.as_millis()));
    match name {
        "name" => Some(Part::Text(run.path.run.as_str())),
        "entity" => Some(Part::Text(run.path.entity.as_str())),
        "project" => Some(Part::Text(run.path.project.as_str())),
        "display_name" => text(&run.name),
        "state" => Some(Part::Text(run.state.as_str())),
        "created_at" => date(Some(run.created_at)),
        "started_at" => date(run.started_at),
        "ended_at" => date(run.ended_at),
        "heartbeat_at" => date(run.heartbeat_at),
        "duration" => run.duration().map(Part::Seconds),
        "deleted" => Some(Part::Bool(run.deleted)),
        "username" => text(&run.user),
        "host" => text(&run.host),
        "program" => text(&run.program),
        "commit" => run.git.as_ref()?.commit.as_deref().map(Part::Text),
        "group" => text(&run.group),
        "job_type" => text(&run.job_type),
        "tags" => Some(Part::Texts(&run.tags)),
        "notes" => text(&run.notes),
        "parent" => run.parent.as_ref().map(|id| Part::Text(id.as_str())),
        "sweep" => text(&run.sweep),
        "config" => Some(Part::Object(&run.config)),
        "summary_metrics" => Some(Part::Object(&run.summary)),
        "extras" => Some(Part::Object(&run.extras)),
        _ => None,
    }
}

impl<'a> Node<'a> for RunNode<'a> {
    fn kind(self) -> Kind<'a> {
        match self.0 {
            Part::Run(_) | Part::Object(_) => Kind::Object,
            Part::Json(json) => match json.kind() {
                Kind::String(text) => non_finite(text).map_or(Kind::String(text), Kind::Double),
                kind => kind,
            },
            Part::Texts(_) => Kind::Array,
            Part::Text(text) => Kind::String(text),
            Part::Date(ms) => Kind::Date(ms),
            Part::Seconds(seconds) => Kind::Double(seconds),
            Part::Bool(value) => Kind::Bool(value),
        }
    }

    fn get(self, key: &str) -> Option<Self> {
        match self.0 {
            Part::Run(run) => field(run, key).map(Self),
            Part::Object(object) => object.get(key).map(|json| Self(Part::Json(json))),
            Part::Json(json) => json.get(key).map(|json| Self(Part::Json(json))),
            _ => None,
        }
    }

    fn item(self, index: usize) -> Option<Self> {
        match self.0 {
            Part::Texts(texts) => texts.get(index).map(|text| Self(Part::Text(text))),
            Part::Json(json) => Node::item(json, index).map(|json| Self(Part::Json(json))),
            _ => None,
        }
    }

    fn items(self) -> impl Iterator<Item = Self> {
        let (texts, json): (&[String], _) = match self.0 {
            Part::Texts(texts) => (texts, None),
            Part::Json(json) => (&[], Some(json)),
            _ => (&[], None),
        };
        let texts = texts.iter().map(|text| Self(Part::Text(text)));
        let json = json.into_iter().flat_map(Node::items);
        texts.chain(json.map(|json| Self(Part::Json(json))))
    }

    fn entries(self) -> impl Iterator<Item = (&'a str, Self)> {
        let run = match self.0 {
            Part::Run(run) => Some(run),
            _ => None,
        };
        let object = match self.0 {
            Part::Object(object) => Some(object),
            Part::Json(json) => json.as_object(),
            _ => None,
        };
        let fields = run.into_iter().flat_map(|run| {
            super::fields::NAMES
                .iter()
                .filter_map(move |name| Some((*name, Self(field(run, name)?))))
        });
        let entries = object.into_iter().flatten();
        fields.chain(entries.map(|(key, json)| (key.as_str(), Self(Part::Json(json)))))
    }
}
