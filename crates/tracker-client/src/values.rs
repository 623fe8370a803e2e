//! Values that are more than a number or a text, in the shapes that the W&B SDK gives them.
//!
//! In a config, a summary or a history they are JSON objects with a member `_type`. [`TypedValue`]
//! reads any of them; each kind becomes JSON with `into`, as [`crate::RunEdit`] takes it, and a
//! [`Value`] of a history likewise.
//!
//! ```
//! use serde_json::Value as Json;
//! use tracker_client::{RunEdit, values::{Histogram, TypedValue}};
//!
//! let histogram = Histogram::of(&[1.0, 2.0, 2.5])?;
//! let edit = RunEdit::new().summary("weights", histogram.clone());
//! let json = Json::from(histogram.clone());
//! assert_eq!(json["_type"], "histogram");
//! assert_eq!(TypedValue::read(&json)?, Some(TypedValue::Histogram(histogram)));
//! # Ok::<(), tracker_model::Error>(())
//! ```

mod histogram;
mod media;
mod table;

pub use histogram::Histogram;
pub use media::{Images, Media, MediaKind};
use serde_json::Value as Json;
pub use table::Table;
use tracker_model::{Error, ErrorKind, JsonObject, Result, Value};

/// A value with a type of its own.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum TypedValue {
    /// How often numbers were in which range.
    Histogram(Histogram),
    /// A file of the run.
    Media(Media),
    /// Several images at once.
    Images(Images),
}

impl TypedValue {
    /// Reads a value of a config or a summary. `None` if it is of no type that is known here.
    ///
    /// # Errors
    /// `Corrupt` if it says that it has a type, and has not the shape of it.
    pub fn read(json: &Json) -> Result<Option<Self>> {
        let Some(object) = json.as_object() else {
            return Ok(None);
        };
        let Some(kind) = object.get("_type").and_then(Json::as_str) else {
            return Ok(None);
        };
        Ok(match kind {
            "histogram" => Some(Self::Histogram(Histogram::read(object)?)),
            "images/separated" => Some(Self::Images(Images::read(object)?)),
            _ => MediaKind::of(kind).map(|kind| Self::Media(Media::read(kind, object))),
        })
    }

    /// Reads a value of a history, as [`TypedValue::read`] does.
    ///
    /// # Errors
    /// Those of [`TypedValue::read`].
    pub fn of_history(value: &Value) -> Result<Option<Self>> {
        match value {
            Value::Json(_) => Self::read(&value.to_json()),
            _ => Ok(None),
        }
    }
}

impl From<TypedValue> for Json {
    fn from(value: TypedValue) -> Self {
        match value {
            TypedValue::Histogram(histogram) => histogram.into(),
            TypedValue::Media(media) => media.into(),
            TypedValue::Images(images) => images.into(),
        }
    }
}

impl From<TypedValue> for Value {
    fn from(value: TypedValue) -> Self {
        Self::Json(Json::from(value).to_string())
    }
}

/// What is wrong with a value.
fn wrong(what: &str, why: &str) -> Error {
    Error::new(ErrorKind::Corrupt, format!("read a {what}: {why}"))
}

/// Takes a text out of an object; anything else stays there.
fn take_text(object: &mut JsonObject, key: &str) -> Option<String> {
    match object.remove(key)? {
        Json::String(text) => Some(text),
        other => {
            object.insert(key.to_owned(), other);
            None
        }
    }
}

/// Takes a count out of an object; anything else stays there.
fn take_count(object: &mut JsonObject, key: &str) -> Option<u64> {
    let count = object.get(key)?.as_u64()?;
    object.remove(key);
    Some(count)
}

/// Puts what there is into an object.
fn put(object: &mut JsonObject, key: &str, value: Option<impl Into<Json>>) {
    if let Some(value) = value {
        object.insert(key.to_owned(), value.into());
    }
}
