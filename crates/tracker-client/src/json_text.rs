//! JSON as Python writes it, with bare words for the numbers that are not finite.

use serde_json::Value as Json;
use tracker_model::{Error, JsonObject, Result, python_json, python_word};

/// An object in JSON text as Python writes it. Numbers that are not finite become words.
///
/// # Errors
/// `InvalidInput` if it is no object; `what` is it then.
pub fn json_object(what: &str, text: &str) -> Result<JsonObject> {
    match python_json(text) {
        Some(mut json @ Json::Object(_)) => {
            words(&mut json);
            match json {
                Json::Object(object) => Ok(object),
                _ => Ok(JsonObject::new()),
            }
        }
        Some(Json::Null) => Ok(JsonObject::new()),
        _ => Err(Error::invalid(format!("{what} is not a JSON object"))),
    }
}

/// Makes the bare words of [`python_json`] the strings of the model.
pub(crate) fn words(json: &mut Json) {
    match json {
        Json::String(_) => {
            if let Some(word) = python_word(json) {
                *json = Json::String(word.to_owned());
            }
        }
        Json::Array(items) => items.iter_mut().for_each(words),
        Json::Object(members) => members.values_mut().for_each(words),
        _ => {}
    }
}
