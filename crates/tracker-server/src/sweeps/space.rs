//! The space of a sweep: its parameters, with the values or the distribution of each.
//!
//! Source: the sweep configuration of W&B, as its documentation describes it.

use rand::{Rng, RngExt as _};
use rand_distr::{Beta, Distribution as _, Normal};
use serde_json::{Map, Value as Json, json};
use tracker_model::{Error, JsonObject, Result};

/// The most combinations that a grid may have.
const MAX_GRID: u64 = 1 << 52;

/// How the next values are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    /// Every combination once.
    Grid,
    /// Any combination, over and over.
    Random,
    /// The combination that promises most by what runs found so far.
    Bayes,
}

/// Where a value lies among those that its parameter may have.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Coordinate {
    /// From 0 to 1.
    Place(f64),
    /// One of several that are no nearer to each other than to others, by its number.
    Kind(usize),
}

/// A sweep's configuration, checked.
#[derive(Debug, Clone)]
pub(crate) struct Space {
    pub(crate) method: Method,
    parameters: Vec<(String, Parameter)>,
    /// How many runs there may be.
    pub(crate) run_cap: Option<u64>,
}

#[derive(Debug, Clone)]
enum Parameter {
    /// One of these, with these chances.
    Values(Vec<Json>, Option<Vec<f64>>),
    Range(Range),
    /// Parameters inside of an object.
    Nested(Vec<(String, Self)>),
}

/// A distribution of numbers. `q` is the width of the steps that values are rounded to.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Range {
    Integers(i64, i64),
    Uniform(f64, f64, Option<f64>),
    /// Of the logarithm.
    LogUniform(f64, f64, Option<f64>),
    /// Of the logarithm of the inverse.
    InverseLogUniform(f64, f64),
    Normal(f64, f64, Option<f64>),
    LogNormal(f64, f64, Option<f64>),
    Beta(f64, f64, Option<f64>),
}

impl Space {
    /// Reads the configuration.
    ///
    /// # Errors
    /// `InvalidInput` for what it cannot mean, with the place; `Unsupported` for a method that is
    /// not known here.
    pub(crate) fn parse(config: &JsonObject) -> Result<Self> {
        let method = match config.get("method").and_then(Json::as_str) {
            Some("grid") => Method::Grid,
            Some("random") => Method::Random,
            Some("bayes") => Method::Bayes,
            Some(other) => {
                return Err(Error::new(
                    tracker_model::ErrorKind::Unsupported,
                    format!("this server does not search by the method {other:.40?}"),
                )
                .with_hint("it knows grid, random and bayes"));
            }
            None => {
                return Err(Error::invalid(
                    "the sweep's config has no method: grid, random or bayes",
                ));
            }
        };
        let parameters = match config.get("parameters") {
            Some(Json::Object(parameters)) => parameters_of(parameters, "", 0)?,
            None => Vec::new(),
            Some(_) => return Err(Error::invalid("the sweep's parameters are not an object")),
        };
        if parameters.is_empty() {
            return Err(Error::invalid("the sweep has no parameters"));
        }
        let space = Self {
            method,
            parameters,
            run_cap: config.get("run_cap").and_then(Json::as_u64),
        };
        match method {
            Method::Grid => {
                space.size()?;
            }
            Method::Bayes => {
                let metric = config.get("metric").and_then(|metric| metric.get("name"));
                if !metric.is_some_and(Json::is_string) {
                    return Err(Error::invalid(
                        "the method bayes needs a metric with a name",
                    ));
                }
            }
            Method::Random => {}
        }
        Ok(space)
    }

    /// How many runs are expected, if the sweep ends by itself.
    pub(crate) fn expected(&self) -> Option<u64> {
        let all = match self.method {
            Method::Grid => self.size().ok(),
            Method::Random | Method::Bayes => None,
        };
        match (all, self.run_cap) {
            (Some(all), Some(cap)) => Some(all.min(cap)),
            (all, cap) => all.or(cap),
        }
    }

    /// How many combinations a grid has.
    fn size(&self) -> Result<u64> {
        size_of(&self.parameters, "").and_then(|size| match size {
            0..MAX_GRID => Ok(size),
            _ => Err(Error::invalid("the grid has too many combinations")),
        })
    }

    /// Any values: as the distributions say.
    pub(crate) fn sample(&self, rng: &mut impl Rng) -> JsonObject {
        sample(&self.parameters, rng)
    }

    /// The values of a config with about one of them replaced by any other.
    pub(crate) fn vary(&self, config: &JsonObject, rng: &mut impl Rng) -> JsonObject {
        vary(&self.parameters, config, count(&self.parameters), rng)
    }

    /// Where the values of a config lie in the space; `None` if it has not all of the parameters,
    /// or others than the space knows.
    pub(crate) fn point(&self, config: &JsonObject) -> Option<Vec<Coordinate>> {
        let mut point = Vec::new();
        locate(&self.parameters, config, &mut point)?;
        Some(point)
    }

    /// The values of the run with this number, from 0; `None` when there are no more. The method
    /// bayes has a say of its own in them.
    pub(crate) fn pick(&self, number: u64, rng: &mut impl Rng) -> Option<JsonObject> {
        if self.run_cap.is_some_and(|cap| number >= cap) {
            return None;
        }
        match self.method {
            Method::Grid => {
                let size = self.size().ok()?;
                (number < size).then(|| {
                    let mut rest = number;
                    let values = combination(&self.parameters, &mut rest);
                    wrapped(values)
                })
            }
            Method::Random | Method::Bayes => Some(wrapped(self.sample(rng))),
        }
    }
}

/// As the agents want them: `{"name": {"value": …}}`.
pub(crate) fn wrapped(values: JsonObject) -> JsonObject {
    let wrap = |(name, value)| (name, json!({"value": value}));
    values.into_iter().map(wrap).collect()
}

fn parameters_of(
    parameters: &Map<String, Json>,
    above: &str,
    depth: usize,
) -> Result<Vec<(String, Parameter)>> {
    if depth > 16 {
        return Err(Error::invalid(format!(
            "the parameters below {above:?} are nested too deep"
        )));
    }
    let mut out = Vec::with_capacity(parameters.len());
    for (name, said) in parameters {
        let place = match above {
            "" => name.clone(),
            above => format!("{above}.{name}"),
        };
        let Json::Object(said) = said else {
            return Err(Error::invalid(format!(
                "the parameter {place:?} is not an object"
            )));
        };
        let parameter = match said.get("parameters") {
            Some(Json::Object(inner)) => {
                Parameter::Nested(parameters_of(inner, &place, depth + 1)?)
            }
            _ => parameter(said, &place)?,
        };
        out.push((name.clone(), parameter));
    }
    Ok(out)
}

fn parameter(said: &JsonObject, place: &str) -> Result<Parameter> {
    let wrong = |why: &str| Error::invalid(format!("the parameter {place:?} {why}"));
    if let Some(value) = said.get("value") {
        return Ok(Parameter::Values(vec![value.clone()], None));
    }
    if let Some(values) = said.get("values") {
        let Json::Array(values) = values else {
            return Err(wrong("has values that are not a list"));
        };
        if values.is_empty() {
            return Err(wrong("has no values"));
        }
        let chances = match said.get("probabilities") {
            None | Some(Json::Null) => None,
            Some(Json::Array(chances)) if chances.len() == values.len() => {
                let chances: Option<Vec<f64>> = chances.iter().map(Json::as_f64).collect();
                let chances =
                    chances.filter(|c| c.iter().all(|c| *c >= 0.0) && c.iter().sum::<f64>() > 0.0);
                Some(chances.ok_or_else(|| wrong("has probabilities that are none"))?)
            }
            Some(_) => return Err(wrong("needs as many probabilities as values")),
        };
        return Ok(Parameter::Values(values.clone(), chances));
    }
    let number = |key: &str| said.get(key).and_then(Json::as_f64);
    let (low, high) = (said.get("min"), said.get("max"));
    let integers = low.is_some_and(Json::is_i64) && high.is_some_and(Json::is_i64);
    let kind = match said.get("distribution").and_then(Json::as_str) {
        Some(kind) => kind,
        None if low.is_some() && high.is_some() && integers => "int_uniform",
        None if low.is_some() && high.is_some() => "uniform",
        None if number("mu").is_some() => "normal",
        None => return Err(wrong("needs value, values, or min and max")),
    };
    let bounds = || match (number("min"), number("max")) {
        (Some(low), Some(high)) if low <= high && low.is_finite() && high.is_finite() => {
            Ok((low, high))
        }
        (Some(_), Some(_)) => Err(wrong("has a min above its max")),
        _ => Err(wrong("needs numbers min and max")),
    };
    let positive = || match bounds()? {
        (low, high) if low > 0.0 => Ok((low, high)),
        _ => Err(wrong("needs a min above 0")),
    };
    let spread = || {
        let (mu, sigma) = (number("mu").unwrap_or(0.0), number("sigma").unwrap_or(1.0));
        match sigma >= 0.0 && sigma.is_finite() && mu.is_finite() {
            true => Ok((mu, sigma)),
            false => Err(wrong("needs a sigma that is not negative")),
        }
    };
    let q = match (kind.starts_with("q_"), number("q")) {
        (true, Some(q)) if q > 0.0 => Some(q),
        (true, Some(_)) => return Err(wrong("needs a q above 0")),
        (true, None) => Some(1.0),
        (false, _) => None,
    };
    let range = match kind.trim_start_matches("q_") {
        "int_uniform" => {
            let (low, high) = bounds()?;
            #[expect(clippy::cast_possible_truncation, reason = "saturates")]
            let (low, high) = (low.ceil() as i64, high.floor() as i64);
            if low > high {
                return Err(wrong("has no integer between its min and its max"));
            }
            Range::Integers(low, high)
        }
        "uniform" => bounds().map(|(low, high)| Range::Uniform(low, high, q))?,
        "log_uniform" => bounds().map(|(low, high)| Range::LogUniform(low, high, q))?,
        "log_uniform_values" => {
            let (low, high) = positive()?;
            Range::LogUniform(low.ln(), high.ln(), q)
        }
        "inv_log_uniform" => bounds().map(|(low, high)| Range::InverseLogUniform(low, high))?,
        "inv_log_uniform_values" => {
            let (low, high) = positive()?;
            Range::InverseLogUniform(low.ln(), high.ln())
        }
        "normal" => spread().map(|(mu, sigma)| Range::Normal(mu, sigma, q))?,
        "log_normal" => spread().map(|(mu, sigma)| Range::LogNormal(mu, sigma, q))?,
        "beta" => match (number("a"), number("b")) {
            (Some(a), Some(b)) if a > 0.0 && b > 0.0 => Range::Beta(a, b, q),
            _ => return Err(wrong("needs a and b above 0")),
        },
        "constant" | "categorical" => return Err(wrong("needs value or values")),
        other => return Err(wrong(&format!("has the unknown distribution {other:.40?}"))),
    };
    Ok(Parameter::Range(range))
}

fn size_of(parameters: &[(String, Parameter)], above: &str) -> Result<u64> {
    let mut size: u64 = 1;
    for (name, parameter) in parameters {
        let place = match above {
            "" => name.clone(),
            above => format!("{above}.{name}"),
        };
        let count = match parameter {
            Parameter::Values(values, _) => values.len() as u64,
            Parameter::Nested(inner) => size_of(inner, &place)?,
            Parameter::Range(range) => range.count().ok_or_else(|| {
                Error::invalid(format!(
                    "the parameter {place:?} has no end of values, and a grid tries all of them"
                ))
                .with_hint("give it values, integers, or q_uniform with a q")
            })?,
        };
        size = size.saturating_mul(count);
    }
    Ok(size)
}

/// The combination of a number; the last parameter changes quickest.
fn combination(parameters: &[(String, Parameter)], rest: &mut u64) -> JsonObject {
    let mut out = JsonObject::new();
    for (name, parameter) in parameters.iter().rev() {
        let mut take = |count: u64| {
            let index = *rest % count.max(1);
            *rest /= count.max(1);
            index
        };
        let value = match parameter {
            Parameter::Values(values, _) => {
                let index = usize::try_from(take(values.len() as u64)).unwrap_or(0);
                values.get(index).cloned().unwrap_or_default()
            }
            Parameter::Range(range) => range.at(take(range.count().unwrap_or(1))),
            Parameter::Nested(inner) => Json::Object(combination(inner, rest)),
        };
        out.insert(name.clone(), value);
    }
    out
}

fn sample(parameters: &[(String, Parameter)], rng: &mut impl Rng) -> JsonObject {
    let value = |parameter: &Parameter, rng: &mut _| match parameter {
        Parameter::Values(values, chances) => choose(values, chances.as_deref(), rng),
        Parameter::Range(range) => range.sample(rng),
        Parameter::Nested(inner) => Json::Object(sample(inner, rng)),
    };
    let named = |(name, parameter): &(String, Parameter)| (name.clone(), value(parameter, rng));
    parameters.iter().map(named).collect()
}

/// How many parameters there are, nested ones too.
fn count(parameters: &[(String, Parameter)]) -> usize {
    let one = |(_, parameter): &(String, Parameter)| match parameter {
        Parameter::Nested(inner) => count(inner),
        Parameter::Values(..) | Parameter::Range(_) => 1,
    };
    parameters.iter().map(one).sum()
}

fn vary(
    parameters: &[(String, Parameter)],
    config: &JsonObject,
    of: usize,
    rng: &mut impl Rng,
) -> JsonObject {
    let none = JsonObject::new();
    let mut value = |(name, parameter): &(String, Parameter)| {
        let old = config.get(name);
        let value = match (parameter, old) {
            (Parameter::Nested(inner), old) => {
                let old = old.and_then(Json::as_object).unwrap_or(&none);
                Json::Object(vary(inner, old, of, rng))
            }
            (_, Some(old)) if rng.random_range(0..of.max(1)) != 0 => old.clone(),
            (Parameter::Values(values, chances), _) => choose(values, chances.as_deref(), rng),
            (Parameter::Range(range), _) => range.sample(rng),
        };
        (name.clone(), value)
    };
    parameters.iter().map(&mut value).collect()
}

fn locate(
    parameters: &[(String, Parameter)],
    config: &JsonObject,
    point: &mut Vec<Coordinate>,
) -> Option<()> {
    for (name, parameter) in parameters {
        let value = config.get(name)?;
        match parameter {
            Parameter::Nested(inner) => locate(inner, value.as_object()?, point)?,
            Parameter::Range(range) => point.push(Coordinate::Place(range.place(value.as_f64()?))),
            // The same for all runs, it tells nothing.
            Parameter::Values(values, _) if values.len() < 2 => {}
            Parameter::Values(values, _) => point.push(place_among(values, value)?),
        }
    }
    Some(())
}

/// Numbers are as near to each other as their places in order are.
#[expect(clippy::cast_precision_loss, reason = "a list is shorter")]
fn place_among(values: &[Json], value: &Json) -> Option<Coordinate> {
    let same = |other: &Json| match (other.as_f64(), value.as_f64()) {
        (Some(a), Some(b)) => a.total_cmp(&b).is_eq(),
        _ => other == value,
    };
    let index = values.iter().position(same)?;
    let numbers: Option<Vec<f64>> = values.iter().map(Json::as_f64).collect();
    Some(match (numbers, value.as_f64()) {
        (Some(numbers), Some(value)) => {
            let smaller = numbers.iter().filter(|number| **number < value).count();
            Coordinate::Place(smaller as f64 / (values.len() - 1) as f64)
        }
        _ => Coordinate::Kind(index),
    })
}

fn choose(values: &[Json], chances: Option<&[f64]>, rng: &mut impl Rng) -> Json {
    let index = match chances {
        None => rng.random_range(0..values.len().max(1)),
        Some(chances) => {
            let mut left = rng.random::<f64>() * chances.iter().sum::<f64>();
            let passed = |chance: &&f64| {
                left -= **chance;
                left > 0.0
            };
            chances.iter().take_while(passed).count()
        }
    };
    values
        .get(index)
        .or(values.last())
        .cloned()
        .unwrap_or_default()
}

impl Range {
    /// How many values it has, if they can be counted.
    fn count(self) -> Option<u64> {
        match self {
            Self::Integers(low, high) => high.checked_sub(low)?.unsigned_abs().checked_add(1),
            Self::Uniform(low, high, Some(q)) => {
                let steps = ((high - low) / q + 1e-9).floor();
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "checked"
                )]
                (0.0..1e12).contains(&steps).then_some(steps as u64 + 1)
            }
            _ => None,
        }
    }

    /// The value of a number below the count.
    #[expect(clippy::cast_precision_loss, reason = "counts are small")]
    fn at(self, index: u64) -> Json {
        match self {
            Self::Integers(low, _) => low.saturating_add_unsigned(index).into(),
            Self::Uniform(low, _, Some(q)) => rounded(low + index as f64 * q, Some(q)),
            _ => Json::Null,
        }
    }

    /// Where the value lies, from 0 to 1; about as many samples fall into each part.
    #[expect(clippy::cast_precision_loss, reason = "a place, not a count")]
    fn place(self, value: f64) -> f64 {
        let between = |low: f64, high: f64, value: f64| match high > low {
            true => (value - low) / (high - low),
            false => 0.5,
        };
        // The logistic function is near enough to the normal distribution's.
        let around = |mu: f64, sigma: f64, value: f64| match sigma > 0.0 {
            true => 1.0 / (1.0 + (-1.7 * (value - mu) / sigma).exp()),
            false => 0.5,
        };
        let place = match self {
            Self::Integers(low, high) => between(low as f64, high as f64, value),
            Self::Uniform(low, high, _) => between(low, high, value),
            Self::LogUniform(low, high, _) | Self::InverseLogUniform(low, high) => {
                between(low, high, value.ln())
            }
            Self::Normal(mu, sigma, _) => around(mu, sigma, value),
            Self::LogNormal(mu, sigma, _) => around(mu, sigma, value.ln()),
            Self::Beta(..) => value,
        };
        // Also for what lies outside: a run may have been given other values by hand.
        if place.is_nan() {
            0.0
        } else {
            place.clamp(0.0, 1.0)
        }
    }

    fn sample(self, rng: &mut impl Rng) -> Json {
        let mut between = |low: f64, high: f64| low + (high - low) * rng.random::<f64>();
        match self {
            Self::Integers(low, high) => rng.random_range(low..=high).into(),
            Self::Uniform(low, high, q) => rounded(between(low, high), q),
            Self::LogUniform(low, high, q) => rounded(between(low, high).exp(), q),
            Self::InverseLogUniform(low, high) => {
                // The inverse is spread as a logarithm is.
                let inverse = between(-high, -low).exp();
                rounded(1.0 / inverse, None)
            }
            Self::Normal(mu, sigma, q) => rounded(normal(mu, sigma, rng), q),
            Self::LogNormal(mu, sigma, q) => rounded(normal(mu, sigma, rng).exp(), q),
            Self::Beta(a, b, q) => rounded(Beta::new(a, b).map_or(0.5, |beta| beta.sample(rng)), q),
        }
    }
}

fn normal(mu: f64, sigma: f64, rng: &mut impl Rng) -> f64 {
    Normal::new(mu, sigma).map_or(mu, |normal| normal.sample(rng))
}

/// Rounded to steps of `q`; whole numbers of whole steps are integers.
fn rounded(value: f64, q: Option<f64>) -> Json {
    let Some(q) = q else { return value.into() };
    let stepped = (value / q).round() * q;
    if q.fract() == 0.0 && stepped.abs() < 9e15 {
        #[expect(clippy::cast_possible_truncation, reason = "checked to be in range")]
        return (stepped as i64).into();
    }
    // As many digits as the step has: 0.3, not 0.30000000000000004.
    let digits = q
        .to_string()
        .split_once('.')
        .map_or(0, |(_, digits)| digits.len());
    let text = format!("{stepped:.digits$}");
    text.parse::<f64>().unwrap_or(stepped).into()
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng, rngs::StdRng};

    use super::*;

    fn space(config: Json) -> Result<Space> {
        Space::parse(config.as_object().unwrap())
    }

    #[test]
    fn a_grid_has_every_combination_once() {
        let grid = space(json!({"method": "grid", "parameters": {
            "a": {"values": [1, 2, 3]}, "b": {"value": "x"}, "c": {"min": 0, "max": 1},
            "d": {"parameters": {"e": {"distribution": "q_uniform", "min": 0.0, "max": 0.3, "q": 0.1}}}
        }}))
        .unwrap();
        assert_eq!(grid.expected(), Some(24));
        let mut rng = StdRng::seed_from_u64(1);
        let mut seen = std::collections::BTreeSet::new();
        for number in 0..24 {
            seen.insert(Json::Object(grid.pick(number, &mut rng).unwrap()).to_string());
        }
        assert_eq!(seen.len(), 24);
        assert!(
            seen.contains(
                r#"{"a":{"value":3},"b":{"value":"x"},"c":{"value":1},"d":{"value":{"e":0.3}}}"#
            ),
            "{seen:?}"
        );
        assert_eq!(grid.pick(24, &mut rng), None);
    }

    #[test]
    fn samples_stay_in_their_ranges() {
        let random = space(json!({"method": "random", "run_cap": 500, "parameters": {
            "lr": {"distribution": "log_uniform_values", "min": 1e-5, "max": 1e-1},
            "e": {"distribution": "log_uniform", "min": -3, "max": 0},
            "i": {"distribution": "inv_log_uniform_values", "min": 0.5, "max": 2.0},
            "n": {"min": 3, "max": 5}, "u": {"min": 0.5, "max": 1.5},
            "q": {"distribution": "q_log_uniform_values", "min": 10, "max": 100, "q": 10},
            "z": {"distribution": "normal", "mu": 0, "sigma": 1},
            "b": {"distribution": "beta", "a": 2, "b": 5},
            "c": {"values": ["x", "y"], "probabilities": [0, 1]}
        }}))
        .unwrap();
        assert_eq!(random.expected(), Some(500));
        let mut rng = StdRng::seed_from_u64(2);
        for number in 0..500 {
            let values = random.pick(number, &mut rng).unwrap();
            let of = |key: &str| values[key]["value"].as_f64().unwrap();
            assert!((1e-5..=1e-1).contains(&of("lr")));
            assert!((0.049..=1.0).contains(&of("e")));
            assert!((0.5..=2.0).contains(&of("i")));
            assert!([3, 4, 5].contains(&values["n"]["value"].as_i64().unwrap()));
            assert!((0.5..=1.5).contains(&of("u")));
            assert_eq!(values["q"]["value"].as_i64().unwrap() % 10, 0);
            assert!((0.0..=1.0).contains(&of("b")));
            assert_eq!(values["c"]["value"], "y");
        }
        assert_eq!(random.pick(500, &mut rng), None);
    }

    #[test]
    fn what_cannot_be_searched_is_told() {
        for (config, word) in [
            (json!({}), "method"),
            (
                json!({"method": "tpe", "parameters": {"a": {"value": 1}}}),
                "tpe",
            ),
            (
                json!({"method": "bayes", "parameters": {"a": {"value": 1}}}),
                "metric",
            ),
            (json!({"method": "grid"}), "no parameters"),
            (
                json!({"method": "grid", "parameters": {"a": {"min": 0.0, "max": 1.0}}}),
                "\"a\"",
            ),
            (
                json!({"method": "random", "parameters": {"a": {"b": {"min": 1}}}}),
                "needs value",
            ),
            (
                json!({"method": "random", "parameters": {"a": {"min": 2, "max": 1}}}),
                "above its max",
            ),
            (
                json!({"method": "random", "parameters": {"a": {"values": []}}}),
                "no values",
            ),
            (
                json!({"method": "random", "parameters": {"a": {"values": [1], "probabilities": []}}}),
                "as many",
            ),
            (
                json!({"method": "random", "parameters": {"a": {"distribution": "log_uniform_values", "min": 0, "max": 1}}}),
                "above 0",
            ),
            (
                json!({"method": "random", "parameters": {"a": {"distribution": "cauchy", "min": 0, "max": 1}}}),
                "cauchy",
            ),
            (
                json!({"method": "random", "parameters": {"a": 1}}),
                "not an object",
            ),
        ] {
            let error = space(config.clone()).unwrap_err();
            assert!(error.message().contains(word), "{config}: {error}");
        }
    }
}
