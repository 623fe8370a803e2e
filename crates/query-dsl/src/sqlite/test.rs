//! Tests of one candidate, as SQL.

use super::{Answer, Elements, OneValue, Operand, Writer, answer};
use crate::{
    ElemMatch, Path, Pattern, Test, TypeName, Value,
    filter::{BitsMode, Condition, Member},
    regex::Shape,
    sql::{Fragment, SqlValue, every, push_down, test_of},
    write,
};

const NUMBER: [&str; 2] = ["integer", "real"];
/// The doubles that are an `i64` when their fraction is cut off.
const IN_RANGE: &str = ">= -9223372036854775808.0 AND {} < 9223372036854775808.0";
/// Longer lists are bound as one value.
const MANY: usize = 200;

/// A candidate passes; nothing if SQLite cannot say.
pub(super) fn value(writer: &Writer, test: &Test, operand: &Operand) -> Option<Answer> {
    match test {
        Test::Eq(value) => equal(value, operand),
        Test::Gt(value) => range(value, ">", operand),
        Test::Gte(value) => range(value, ">=", operand),
        Test::Lt(value) => range(value, "<", operand),
        Test::Lte(value) => range(value, "<=", operand),
        Test::In(list) => members(list, operand),
        Test::Exists(true) => Some(Answer::exact(operand.exists())),
        Test::Type(types) => Some(Answer::exact(type_of(types, operand))),
        Test::Size(size) => size_of(*size, operand),
        Test::Mod { divisor, remainder } => Some(modulus(*divisor, *remainder, operand)),
        Test::Bits { mode, mask } => Some(bits(*mode, *mask, operand)),
        Test::Regex(pattern) => regex(pattern, operand),
        Test::ElemMatch(inner) => element(writer, inner, operand),
        // The others are negations and lists of these.
        other => answer(test_of(
            &Path::new([""; 0]),
            other,
            &OneValue { writer, operand },
        )),
    }
}

fn bound(sql: String, params: Vec<SqlValue>) -> Answer {
    Answer {
        sql: Fragment { sql, params },
        exact: true,
    }
}

/// A scalar as a parameter, with the types of JSON that are compared with it.
fn parameter(value: &Value) -> Option<(&'static [&'static str], SqlValue)> {
    Some(match value {
        Value::Int(i) => (&NUMBER, SqlValue::Integer((*i).into())),
        Value::Long(i) => (&NUMBER, SqlValue::Integer(*i)),
        Value::Double(d) if !d.is_nan() => (&NUMBER, SqlValue::Real(*d)),
        // SQLite's functions end texts there.
        Value::String(text) if !text.contains('\0') => (&["text"], SqlValue::Text(text.clone())),
        Value::Date(ms) => (&["date"], SqlValue::Integer(*ms)),
        _ => return None,
    })
}

fn compared(value: &Value, symbol: &str, operand: &Operand) -> Option<Answer> {
    if matches!(value, Value::Date(_)) && !operand.holds_dates() {
        return None;
    }
    let (types, parameter) = parameter(value)?;
    let sql = operand.is_and(types, &format!("{} {symbol} ?", operand.value()));
    Some(bound(sql, vec![parameter]))
}

fn container(value: &Value, operand: &Operand) -> Option<Answer> {
    let name = match value {
        Value::Array(_) => "array",
        Value::Object(_) => "object",
        _ => return None,
    };
    let sql = operand.is(&[name]);
    // Where there is none, the answer is exact.
    let exact = sql == "0";
    Some(Answer {
        sql: Fragment::new(format!("({sql})")),
        exact,
    })
}

fn equal(value: &Value, operand: &Operand) -> Option<Answer> {
    match value {
        Value::Null => Some(Answer::exact(format!("({})", operand.is_null_or_missing()))),
        Value::Bool(truth) => Some(truths(&[*truth], operand)),
        Value::Array(_) | Value::Object(_) => container(value, operand),
        _ => compared(value, "=", operand),
    }
}

fn truths(which: &[bool], operand: &Operand) -> Answer {
    let names: Vec<_> = which
        .iter()
        .map(|t| if *t { "true" } else { "false" })
        .collect();
    Answer::exact(format!("({})", operand.is(&names)))
}

fn range(value: &Value, symbol: &str, operand: &Operand) -> Option<Answer> {
    let or_equal = symbol.ends_with('=');
    match value {
        Value::Null if or_equal => equal(value, operand),
        Value::Null => Some(Answer::exact("0")),
        Value::Bool(limit) => {
            let holds = |truth: &bool| match symbol {
                ">" => truth > limit,
                ">=" => truth >= limit,
                "<" => truth < limit,
                _ => truth <= limit,
            };
            let which: Vec<_> = [false, true].into_iter().filter(holds).collect();
            Some(truths(&which, operand))
        }
        Value::Array(_) | Value::Object(_) => container(value, operand),
        _ => compared(value, symbol, operand),
    }
}

fn members(list: &[Member], operand: &Operand) -> Option<Answer> {
    let (mut numbers, mut texts, mut answers) = (Vec::new(), Vec::new(), Vec::new());
    for member in list {
        match member {
            Member::Regex(pattern) => answers.push(regex(pattern, operand)?),
            Member::Value(value) => match parameter(value) {
                Some((["text"], parameter)) => texts.push(parameter),
                Some((types, parameter)) if *types == NUMBER => numbers.push(parameter),
                _ => answers.push(equal(value, operand)?),
            },
        }
    }
    answers.extend(one_of(numbers, &NUMBER, operand));
    answers.extend(one_of(texts, &["text"], operand));
    if answers.is_empty() {
        return Some(Answer::exact("0"));
    }
    let exact = answers.iter().all(|answer| answer.exact);
    let words: Vec<_> = answers
        .iter()
        .map(|answer| answer.sql.sql.as_str())
        .collect();
    Some(Answer {
        sql: Fragment {
            sql: format!("({})", words.join(" OR ")),
            params: answers.iter().flat_map(|a| a.sql.params.clone()).collect(),
        },
        exact,
    })
}

fn one_of(list: Vec<SqlValue>, types: &[&str], operand: &Operand) -> Option<Answer> {
    if list.is_empty() {
        return None;
    }
    let value = operand.value();
    if list.len() <= MANY {
        let marks = vec!["?"; list.len()].join(", ");
        let sql = operand.is_and(types, &format!("{value} IN ({marks})"));
        return Some(bound(sql, list));
    }
    let mut json = String::new();
    write::list(&list, &mut json, |one, out| match one {
        SqlValue::Integer(i) => out.push_str(&i.to_string()),
        SqlValue::Real(d) if d.is_finite() => out.push_str(&format!("{d:?}")),
        SqlValue::Real(d) => out.push_str(if *d > 0.0 { "1e999" } else { "-1e999" }),
        SqlValue::Text(text) => write::string(text, out),
    });
    let sql = operand.is_and(
        types,
        &format!("{value} IN (SELECT atom FROM json_each(?))"),
    );
    Some(bound(sql, vec![SqlValue::Text(json)]))
}

fn type_of(types: &[TypeName], operand: &Operand) -> String {
    let value = operand.value();
    let number = operand.is(&NUMBER);
    let small = format!("{value} BETWEEN -2147483648 AND 2147483647");
    let words = types.iter().map(|name| match name {
        TypeName::Double => format!("({number} AND typeof({value}) = 'real')"),
        TypeName::Int => format!("({number} AND typeof({value}) = 'integer' AND {small})"),
        TypeName::Long => format!("({number} AND typeof({value}) = 'integer' AND NOT {small})"),
        TypeName::Number => number.clone(),
        TypeName::String => operand.is(&["text"]),
        TypeName::Object => operand.is(&["object"]),
        TypeName::Array => operand.is(&["array"]),
        TypeName::Bool => operand.is(&["true", "false"]),
        TypeName::Null => operand.is(&["null"]),
        TypeName::Date => operand.is(&["date"]),
        // No document holds these.
        _ => "0".to_owned(),
    });
    format!("({})", words.collect::<Vec<_>>().join(" OR "))
}

fn size_of(size: u64, operand: &Operand) -> Option<Answer> {
    let Some(site) = operand.json() else {
        return Some(Answer::exact("0"));
    };
    let size = i64::try_from(size).ok()?;
    let sql = format!(
        "(CASE WHEN {} THEN json_array_length({}) = ? ELSE 0 END)",
        operand.is(&["array"]),
        site.args()
    );
    Some(bound(sql, vec![SqlValue::Integer(size)]))
}

fn modulus(divisor: i64, remainder: i64, operand: &Operand) -> Answer {
    let value = operand.value();
    let in_range = IN_RANGE.replace("{}", &value);
    let sql = format!(
        "(CASE WHEN NOT coalesce({}, 0) THEN 0 \
         WHEN typeof({value}) = 'integer' THEN {value} % ? = ? \
         WHEN {value} {in_range} THEN CAST({value} AS INTEGER) % ? = ? ELSE 0 END)",
        operand.is(&NUMBER),
    );
    let (divisor, remainder) = (SqlValue::Integer(divisor), SqlValue::Integer(remainder));
    bound(
        sql,
        vec![divisor.clone(), remainder.clone(), divisor, remainder],
    )
}

fn bits(mode: BitsMode, mask: u64, operand: &Operand) -> Answer {
    let value = operand.value();
    let in_range = IN_RANGE.replace("{}", &value);
    let whole = format!(
        "(CASE WHEN NOT coalesce({}, 0) THEN NULL \
         WHEN typeof({value}) = 'integer' THEN {value} \
         WHEN {value} {in_range} AND CAST({value} AS INTEGER) = {value} \
         THEN CAST({value} AS INTEGER) END)",
        operand.is(&NUMBER),
    );
    let mask = SqlValue::Integer(mask.cast_signed());
    let (sql, params) = match mode {
        BitsMode::AllSet => (format!("({whole} & ? = ?)"), vec![mask.clone(), mask]),
        BitsMode::AnySet => (format!("({whole} & ? != 0)"), vec![mask]),
        BitsMode::AllClear => (format!("({whole} & ? = 0)"), vec![mask]),
        BitsMode::AnyClear => (format!("({whole} & ? != ?)"), vec![mask.clone(), mask]),
    };
    bound(sql, params)
}

fn regex(pattern: &Pattern, operand: &Operand) -> Option<Answer> {
    let text = operand.is(&["text"]);
    let value = operand.value();
    let plain = |text: &str| !text.contains('\0');
    match pattern.shape() {
        Some(Shape::Exact(exact)) => equal(&Value::String(exact), operand),
        Some(Shape::Prefix(prefix) | Shape::Contains(prefix)) if prefix.is_empty() => {
            Some(Answer::exact(format!("({text})")))
        }
        Some(Shape::Prefix(prefix)) if plain(&prefix) => {
            let mut params = vec![SqlValue::Text(prefix.clone())];
            let mut holds = format!("{value} >= ?");
            if let Some(after) = after(&prefix) {
                holds.push_str(&format!(" AND {value} < ?"));
                params.push(SqlValue::Text(after));
            }
            Some(bound(operand.is_and(&["text"], &holds), params))
        }
        Some(Shape::Contains(part)) if plain(&part) => Some(bound(
            format!("({text} AND instr({value}, ?) > 0)"),
            vec![SqlValue::Text(part)],
        )),
        _ => Some(Answer {
            exact: text == "0",
            sql: Fragment::new(format!("({text})")),
        }),
    }
}

/// The least text above all that begin with a prefix.
fn after(prefix: &str) -> Option<String> {
    let mut chars: Vec<char> = prefix.chars().collect();
    while let Some(last) = chars.pop() {
        let next = match last {
            '\u{d7ff}' => Some('\u{e000}'),
            last => char::from_u32(u32::from(last) + 1),
        };
        if let Some(next) = next {
            chars.push(next);
            return Some(chars.into_iter().collect());
        }
    }
    None
}

fn element(writer: &Writer, inner: &ElemMatch, operand: &Operand) -> Option<Answer> {
    let Some(site) = operand.json() else {
        return Some(Answer::exact("0"));
    };
    let alias = writer.alias();
    let (sql, exact) = match inner {
        ElemMatch::Value(conditions) => {
            let found = value_element(writer, conditions, &alias)?;
            (found.sql, found.exact)
        }
        ElemMatch::Object(filter) => {
            let dialect = Elements {
                writer,
                alias: &alias,
            };
            let pushed = push_down(filter, &dialect);
            let mut sql = pushed.sql.unwrap_or_else(|| Fragment::new("1"));
            sql.sql = format!(
                "CASE WHEN {alias}.type IN ('object', 'array') THEN {} ELSE 0 END",
                sql.sql
            );
            (sql, pushed.residual.is_none())
        }
    };
    let sql = Fragment {
        sql: format!(
            "(CASE WHEN {} THEN EXISTS (SELECT 1 FROM json_each({}) AS {alias} WHERE {}) ELSE 0 END)",
            operand.is(&["array"]),
            site.args(),
            sql.sql
        ),
        params: sql.params,
    };
    Some(Answer { sql, exact })
}

/// The tests of one element; a superset where some cannot be said.
fn value_element(writer: &Writer, conditions: &[Condition], alias: &str) -> Option<Answer> {
    let operand = Operand::Element(alias.to_owned());
    let dialect = OneValue {
        writer,
        operand: &operand,
    };
    let path = Path::new([""; 0]);
    let tests = conditions
        .iter()
        .map(|condition| test_of(&path, &condition.test, &dialect));
    answer(every(tests))
}
