//! What newer versions of MLflow keep of a trace in columns, and give as texts of JSON as Python
//! writes it.

use super::cells::Cells;

/// The columns, in the order of [`Usage::read`].
pub(super) const COLUMNS: [&str; 9] = [
    "input_tokens",
    "output_tokens",
    "total_tokens",
    "cache_read_input_tokens",
    "cache_creation_input_tokens",
    "cache_creation_input_tokens_above_1hr",
    "input_cost",
    "output_cost",
    "total_cost",
];
/// How many of them are counts of tokens.
const TOKENS: usize = 6;

/// Tokens and costs of a trace.
pub(super) struct Usage {
    pub(super) tokens: Option<String>,
    pub(super) costs: Option<String>,
}

impl Usage {
    /// Reads the [`COLUMNS`].
    pub(super) fn read(cells: &mut Cells<'_, '_>) -> Self {
        let (tokens, costs) = COLUMNS.split_at(TOKENS);
        let tokens = tokens
            .iter()
            .map(|name| (*name, cells.integer().map(|n| n.to_string())))
            .collect();
        let costs = costs
            .iter()
            .map(|name| (*name, cells.double().map(float)))
            .collect();
        Self {
            tokens: object(tokens),
            costs: object(costs),
        }
    }
}

fn object(fields: Vec<(&str, Option<String>)>) -> Option<String> {
    let fields: Vec<String> = fields
        .into_iter()
        .filter_map(|(name, value)| Some(format!("\"{name}\": {}", value?)))
        .collect();
    (!fields.is_empty()).then(|| format!("{{{}}}", fields.join(", ")))
}

/// A float as Python's `repr`: as few digits as give the same double, with an exponent of two
/// digits below 0.0001 and from 1e16 on.
fn float(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    let text = format!("{value:e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    match exponent.parse::<i32>().unwrap_or(0) {
        -4..16 => {
            let text = format!("{value}");
            if text.contains('.') {
                text
            } else {
                format!("{text}.0")
            }
        }
        exponent => format!(
            "{digits}e{}{:02}",
            if exponent < 0 { '-' } else { '+' },
            exponent.unsigned_abs()
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_as_python_writes_them() {
        for (value, text) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (0.1, "0.1"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (1.5e-7, "1.5e-07"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (1.234_567_890_123_456_7e22, "1.2345678901234568e+22"),
            (5e-324, "5e-324"),
            (f64::MAX, "1.7976931348623157e+308"),
            (-123.456, "-123.456"),
        ] {
            assert_eq!(float(value), text);
        }
    }

    #[test]
    fn objects() {
        assert_eq!(
            object(vec![
                ("a", None),
                ("b", Some("1".into())),
                ("c", Some("0.5".into()))
            ])
            .unwrap(),
            r#"{"b": 1, "c": 0.5}"#
        );
        assert_eq!(object(vec![("a", None)]), None);
    }
}
