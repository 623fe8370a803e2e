//! Which kind a column must have, so that all of its values fit without a loss.

use serde_json::Value as Json;
use tracker_model::{SeriesInfo, Timestamp, Value, ValueKind, non_finite};

use super::{Cell, ColumnKind};
use crate::cli::{
    failure::{Exit, Failure, Result},
    shape::{json_text, value_text},
};

/// Integers up to here are exact as doubles.
const EXACT: u64 = 1 << 53;

/// Collects what a column will hold.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct KindOf {
    doubles: bool,
    integers: bool,
    large: bool,
    booleans: bool,
    texts: bool,
}

impl KindOf {
    /// All points of a series.
    pub(crate) fn add_series(&mut self, series: &SeriesInfo) {
        let has = |kind| series.kinds.contains(kind);
        self.doubles |= has(ValueKind::F64);
        self.booleans |= has(ValueKind::Bool);
        self.texts |= has(ValueKind::Str) || has(ValueKind::Json);
        if has(ValueKind::I64) {
            self.integers = true;
            #[allow(clippy::cast_precision_loss, reason = "2^53 is exact")]
            let exact = EXACT as f64;
            self.large |= series
                .range
                .is_none_or(|(low, high)| low < -exact || high > exact);
        }
    }

    /// One value of a config or summary.
    pub(crate) fn add_json(&mut self, value: &Json) {
        match value {
            Json::Null => {}
            Json::Bool(_) => self.booleans = true,
            Json::Number(n) => match n.as_i64() {
                Some(n) => {
                    self.integers = true;
                    self.large |= n.unsigned_abs() > EXACT;
                }
                None if n.is_u64() => self.texts = true,
                None => self.doubles = true,
            },
            Json::String(text) => match non_finite(text) {
                Some(_) => self.doubles = true,
                None => self.texts = true,
            },
            _ => self.texts = true,
        }
    }

    /// The kind that holds all of it.
    pub(crate) fn kind(self) -> ColumnKind {
        match (self.texts, self.booleans, self.doubles || self.integers) {
            (false, true, false) => ColumnKind::Bool,
            (false, false, true) if !self.doubles => ColumnKind::I64,
            (false, false, true) if !self.large => ColumnKind::F64,
            _ => ColumnKind::Text,
        }
    }
}

#[allow(clippy::cast_precision_loss, reason = "only exact ones")]
fn exact(n: i64) -> Option<f64> {
    (n.unsigned_abs() <= EXACT).then_some(n as f64)
}

impl ColumnKind {
    /// A time column that holds this span.
    pub(crate) fn fits_nanos(times: Option<(Timestamp, Timestamp)>) -> bool {
        let fits = |t: Timestamp| i64::try_from(t.as_nanos()).is_ok();
        times.is_none_or(|(low, high)| fits(low) && fits(high))
    }

    /// The cell of a logged value.
    pub(crate) fn cell(self, value: &Value) -> Result<Cell<'_>> {
        Ok(match (self, value) {
            (Self::F64, Value::F64(x)) => Cell::F64(*x),
            (Self::F64, Value::I64(n)) => Cell::F64(exact(*n).ok_or_else(changed)?),
            (Self::I64, Value::I64(n)) => Cell::I64(*n),
            (Self::Bool, Value::Bool(b)) => Cell::Bool(*b),
            (Self::Text, Value::Str(text) | Value::Json(text)) => Cell::text(text),
            (Self::Text, other) => Cell::Text(value_text(other).into()),
            _ => return Err(changed()),
        })
    }

    /// The cell of a value of a config or summary.
    pub(crate) fn json_cell(self, value: &Json) -> Result<Cell<'_>> {
        Ok(match (self, value) {
            (_, Json::Null) => Cell::Missing,
            (Self::Text, Json::String(text)) => Cell::text(text),
            (Self::Text, other) => Cell::Text(json_text(other).into()),
            (Self::Bool, Json::Bool(b)) => Cell::Bool(*b),
            (Self::I64, Json::Number(n)) => Cell::I64(n.as_i64().ok_or_else(changed)?),
            (Self::F64, Json::Number(n)) => Cell::F64(
                n.as_i64()
                    .map_or_else(|| n.as_f64(), exact)
                    .ok_or_else(changed)?,
            ),
            (Self::F64, Json::String(text)) => Cell::F64(non_finite(text).ok_or_else(changed)?),
            _ => return Err(changed()),
        })
    }
}

/// What was true in the first pass is not any more.
pub(crate) fn changed() -> Failure {
    Failure::new(
        Exit::Temporary,
        "the runs changed while they were exported: a value does not fit its column any more",
    )
    .with_hint("try again")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn kind(values: &[Json]) -> ColumnKind {
        let mut kind = KindOf::default();
        values.iter().for_each(|v| kind.add_json(v));
        for value in values {
            kind.kind().json_cell(value).unwrap();
        }
        kind.kind()
    }

    #[test]
    fn kinds_hold_their_values() {
        assert_eq!(kind(&[json!(1), json!(null)]), ColumnKind::I64);
        assert_eq!(kind(&[json!(1), json!(0.5), json!("NaN")]), ColumnKind::F64);
        assert_eq!(kind(&[json!(1_i64 << 60)]), ColumnKind::I64);
        assert_eq!(
            kind(&[json!((1_i64 << 53) + 1), json!(0.5)]),
            ColumnKind::Text
        );
        assert_eq!(kind(&[json!(u64::MAX)]), ColumnKind::Text);
        assert_eq!(kind(&[json!(true)]), ColumnKind::Bool);
        assert_eq!(kind(&[json!(true), json!(1)]), ColumnKind::Text);
        assert_eq!(kind(&[json!("x"), json!([1])]), ColumnKind::Text);
        assert_eq!(kind(&[]), ColumnKind::Text);
    }
}
