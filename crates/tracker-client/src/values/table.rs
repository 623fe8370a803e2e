use serde_json::Value as Json;
use tracker_model::{Error, JsonObject, Result, python_json, python_word};

use super::wrong;

/// The contents of a table: of a run's file that a [`super::Media`] of the kind `table-file` names,
/// or of an artifact's entry `*.table.json`.
///
/// ```json
/// {"columns":["id","label"],"data":[[1,"cat"],[2,"dog"]]}
/// ```
///
/// Source: `wandb.Table`. What an artifact says of the types of columns is not kept.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Table {
    columns: Vec<Json>,
    data: Vec<Vec<Json>>,
}

impl Table {
    /// A table with these columns, texts or whole numbers, and no rows.
    pub fn new<C: Into<Json>>(columns: impl IntoIterator<Item = C>) -> Self {
        Self {
            columns: columns.into_iter().map(Into::into).collect(),
            data: Vec::new(),
        }
    }

    /// Adds a row.
    ///
    /// # Errors
    /// `InvalidInput` if it does not have as many cells as the table has columns.
    pub fn push(&mut self, row: Vec<Json>) -> Result<()> {
        if row.len() != self.columns.len() {
            return Err(Error::invalid(format!(
                "a row of {} cells in a table of {} columns",
                row.len(),
                self.columns.len()
            )));
        }
        self.data.push(row);
        Ok(())
    }

    /// The names of the columns.
    pub fn columns(&self) -> &[Json] {
        &self.columns
    }

    /// The rows, each with a cell for every column.
    pub fn rows(&self) -> &[Vec<Json>] {
        &self.data
    }

    /// Reads the contents of a file. The words `NaN`, `Infinity` and `-Infinity`, which Python
    /// writes, become strings.
    ///
    /// # Errors
    /// `Corrupt` if it is no table.
    pub fn parse(text: &str) -> Result<Self> {
        let bad = |why: &str| wrong("table", why);
        let mut json = python_json(text).ok_or_else(|| bad("it is not JSON"))?;
        with_plain_words(&mut json);
        let Json::Object(mut object) = json else {
            return Err(bad("it is not an object"));
        };
        let Some(Json::Array(columns)) = object.remove("columns") else {
            return Err(bad("it has no columns"));
        };
        let Some(Json::Array(data)) = object.remove("data") else {
            return Err(bad("it has no data"));
        };
        let mut table = Self::new(columns);
        for row in data {
            match row {
                Json::Array(row) if row.len() == table.columns.len() => table.data.push(row),
                _ => return Err(bad("a row does not fit its columns")),
            }
        }
        Ok(table)
    }

    /// The contents of a file.
    pub fn to_json(&self) -> Json {
        let mut object = JsonObject::new();
        object.insert("columns".to_owned(), self.columns.clone().into());
        object.insert("data".to_owned(), self.data.clone().into());
        Json::Object(object)
    }
}

/// Makes the words of numbers that are not finite plain strings.
fn with_plain_words(json: &mut Json) {
    match json {
        Json::Array(items) => items.iter_mut().for_each(with_plain_words),
        Json::Object(members) => members.values_mut().for_each(with_plain_words),
        other => {
            if let Some(word) = python_word(other) {
                *other = word.into();
            }
        }
    }
}
