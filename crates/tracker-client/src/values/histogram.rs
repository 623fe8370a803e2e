use serde_json::{Number, Value as Json};
use tracker_model::{Error, JsonObject, Result, Value};

use super::wrong;

/// How often numbers were in which range: `bins` are the edges of the ranges, one more than there
/// are `values`. A number is in a range from its lower edge on, up to and without the upper one; the
/// last range has its upper edge too.
///
/// ```json
/// {"_type":"histogram","bins":[0.0,0.5,1.0],"values":[3,1]}
/// {"_type":"histogram","packedBins":{"min":0.0,"size":0.5,"count":2},"values":[3,1]}
/// ```
///
/// Source: `wandb.Histogram`. Both forms are read, the first one is written.
#[derive(Debug, Clone, PartialEq)]
pub struct Histogram {
    bins: Vec<f64>,
    values: Vec<f64>,
}

impl Histogram {
    /// How many ranges [`Histogram::of`] makes.
    pub const RANGES: usize = 64;

    /// A histogram that was computed already.
    ///
    /// # Errors
    /// `InvalidInput` if there is not one edge more than values, or no value.
    pub fn new(bins: Vec<f64>, values: Vec<f64>) -> Result<Self> {
        if values.is_empty() || bins.len() != values.len() + 1 {
            return Err(Error::invalid(format!(
                "a histogram of {} values cannot have {} edges",
                values.len(),
                bins.len()
            )));
        }
        Ok(Self { bins, values })
    }

    /// Counts numbers in 64 ranges of the same width, from the least to the greatest of them. If
    /// these are the same, the ranges reach from half below to half above; without numbers, from 0
    /// to 1. Source: `numpy.histogram(numbers, bins=64)`, as `wandb.Histogram(numbers)` calls it.
    ///
    /// # Errors
    /// `InvalidInput` if a number is not finite, or they are further apart than doubles can say.
    pub fn of(numbers: &[f64]) -> Result<Self> {
        if let Some(x) = numbers.iter().find(|x| !x.is_finite()) {
            return Err(Error::invalid(format!("{x} is in no range of a histogram")));
        }
        let mut low = numbers.iter().copied().reduce(f64::min).unwrap_or(0.0);
        let mut high = numbers.iter().copied().reduce(f64::max).unwrap_or(1.0);
        if low == high {
            (low, high) = (low - 0.5, high + 0.5);
        }
        let width = high - low;
        if !width.is_finite() {
            return Err(Error::invalid(format!(
                "{low} and {high} are too far apart for a histogram"
            )));
        }
        #[expect(clippy::cast_precision_loss, reason = "it is a small number")]
        let ranges = Self::RANGES as f64;
        let step = width / ranges;
        let mut bins: Vec<f64> = (0u32..)
            .take(Self::RANGES)
            .map(|i| f64::from(i) * step + low)
            .collect();
        bins.push(high);
        let mut values = vec![0.0; Self::RANGES];
        for x in numbers {
            // The edges decide; numbers that are equal to the last one are in the last range.
            let range = bins
                .partition_point(|edge| edge <= x)
                .clamp(1, Self::RANGES)
                - 1;
            if let Some(count) = values.get_mut(range) {
                *count += 1.0;
            }
        }
        Ok(Self { bins, values })
    }

    /// The edges of the ranges, in order.
    pub fn bins(&self) -> &[f64] {
        &self.bins
    }

    /// How often a number was in each range, or how densely.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    pub(super) fn read(object: &JsonObject) -> Result<Self> {
        let values = object.get("values").and_then(numbers);
        let values = values.ok_or_else(|| wrong("histogram", "values are not numbers"))?;
        let bins = match (object.get("bins"), object.get("packedBins")) {
            (Some(bins), _) => numbers(bins),
            (None, Some(packed)) => edges(packed, values.len()),
            (None, None) => None,
        };
        let bins = bins.ok_or_else(|| wrong("histogram", "bins are not numbers"))?;
        if bins.len() != values.len() + 1 {
            return Err(wrong("histogram", "there is not one edge more than values"));
        }
        Ok(Self { bins, values })
    }
}

/// The edges of ranges that are all of one size.
fn edges(packed: &Json, ranges: usize) -> Option<Vec<f64>> {
    let part = |key| packed.get(key).and_then(Json::as_f64);
    let (min, size) = (part("min")?, part("size")?);
    if packed.get("count")?.as_u64()? != ranges as u64 {
        return None;
    }
    let edges = (0u32..).take(ranges + 1);
    Some(edges.map(|i| min + size * f64::from(i)).collect())
}

fn numbers(json: &Json) -> Option<Vec<f64>> {
    json.as_array()?.iter().map(number).collect()
}

fn number(json: &Json) -> Option<f64> {
    match json {
        Json::Number(x) => x.as_f64(),
        Json::String(word) => tracker_model::non_finite(word),
        _ => None,
    }
}

/// A count, which is mostly a whole number.
fn count(x: f64) -> Json {
    const EXACT: f64 = (1u64 << 53) as f64;
    if x.fract() == 0.0 && x.abs() <= EXACT && (x != 0.0 || x.is_sign_positive()) {
        #[expect(clippy::cast_possible_truncation, reason = "it is whole and small")]
        return Json::Number(Number::from(x as i64));
    }
    Value::F64(x).to_json()
}

impl From<Histogram> for Json {
    fn from(histogram: Histogram) -> Self {
        let bins = histogram.bins.into_iter().map(|x| Value::F64(x).to_json());
        let values = histogram.values.into_iter().map(count);
        let mut object = JsonObject::new();
        object.insert("_type".to_owned(), "histogram".into());
        object.insert("bins".to_owned(), bins.collect());
        object.insert("values".to_owned(), values.collect());
        Self::Object(object)
    }
}

impl From<Histogram> for Value {
    fn from(histogram: Histogram) -> Self {
        Self::Json(Json::from(histogram).to_string())
    }
}
