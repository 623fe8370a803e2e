//! A slow evaluator, written straight from the rules: all candidates are listed, then asked.

use query_dsl::{
    BitsMode, Condition, ElemMatch, Filter, Member, Object, Path, Test, TypeName, Value, compare,
};

/// A document matches.
pub(crate) fn matches(filter: &Filter, document: &Value) -> bool {
    match filter {
        Filter::And(all) => all.iter().all(|f| matches(f, document)),
        Filter::Or(any) => any.iter().any(|f| matches(f, document)),
        Filter::Nor(none) => !none.iter().any(|f| matches(f, document)),
        Filter::Comment(_) => true,
        Filter::Field(field) => {
            let whole = candidates(document, &field.path, false);
            let unwound = candidates(document, &field.path, true);
            hold(&field.conditions, &whole, &unwound)
        }
        other => panic!("{other:?}"),
    }
}

type Candidates = Vec<Option<Value>>;

fn candidates(document: &Value, path: &Path, unwind: bool) -> Candidates {
    let mut out = Vec::new();
    walk(document, path, 0, false, unwind, &mut out);
    out
}

fn index(part: &str) -> Option<usize> {
    let index: usize = part.parse().ok()?;
    (index.to_string() == part).then_some(index)
}

fn walk(v: &Value, path: &Path, at: usize, via_index: bool, unwind: bool, out: &mut Candidates) {
    let parts = path.parts();
    if at == parts.len() {
        out.push(Some(v.clone()));
        if let (Value::Array(items), true, false) = (v, unwind, via_index) {
            out.extend(items.iter().cloned().map(Some));
        }
        return;
    }
    let optional = path.optional_part() == Some(at);
    match v {
        Value::Object(entries) => {
            let longest = if path.joined_from().is_some_and(|first| at >= first) {
                parts.len()
            } else {
                at + 1
            };
            let mut missing = true;
            for end in at + 1..=longest {
                if let Some(child) = entries.get(&parts[at..end].join(".")) {
                    missing = false;
                    walk(child, path, end, false, unwind, out);
                }
            }
            if missing && optional {
                walk(v, path, at + 1, via_index, unwind, out);
            } else if missing {
                out.push(None);
            }
        }
        _ if optional => walk(v, path, at + 1, via_index, unwind, out),
        Value::Array(items) => {
            for item in items {
                if let Value::Object(_) = item {
                    walk(item, path, at, false, unwind, out);
                }
            }
            if let Some(item) = index(&parts[at]).and_then(|i| items.get(i)) {
                walk(item, path, at + 1, true, unwind, out);
            }
        }
        _ if via_index => {}
        _ => out.push(None),
    }
}

fn hold(conditions: &[Condition], whole: &Candidates, unwound: &Candidates) -> bool {
    conditions.iter().all(|c| holds(&c.test, whole, unwound))
}

fn holds(test: &Test, whole: &Candidates, unwound: &Candidates) -> bool {
    let some = |passes: &dyn Fn(Option<&Value>) -> bool| unwound.iter().any(|c| passes(c.as_ref()));
    let here = |passes: &dyn Fn(&Value) -> bool| some(&|c| c.is_some_and(passes));
    let array = |passes: &dyn Fn(&[Value]) -> bool| {
        whole
            .iter()
            .any(|c| matches!(c, Some(Value::Array(items)) if passes(items)))
    };
    match test {
        Test::Eq(value) => some(&|c| equal(c, value)),
        Test::Ne(value) => !some(&|c| equal(c, value)),
        Test::Gt(value) => here(&|c| ranged(c, value) && compare(c, value).is_gt()),
        Test::Lt(value) => here(&|c| ranged(c, value) && compare(c, value).is_lt()),
        Test::Gte(value) => {
            some(&|c| equal(c, value)) || here(&|c| ranged(c, value) && compare(c, value).is_gt())
        }
        Test::Lte(value) => {
            some(&|c| equal(c, value)) || here(&|c| ranged(c, value) && compare(c, value).is_lt())
        }
        Test::In(members) => members.iter().any(|m| some(&|c| is(c, m))),
        Test::Nin(members) => !members.iter().any(|m| some(&|c| is(c, m))),
        Test::All(members) => !members.is_empty() && members.iter().all(|m| some(&|c| is(c, m))),
        Test::AllElemMatch(elements) => {
            !elements.is_empty() && elements.iter().all(|e| array(&|items| element(e, items)))
        }
        Test::Exists(there) => whole.iter().any(Option::is_some) == *there,
        Test::Type(types) => here(&|c| types.iter().any(|t| of_type(c, *t))),
        Test::Size(size) => array(&|items| items.len() as u64 == *size),
        Test::Mod { divisor, remainder } => here(&|c| match c {
            Value::Int(i) => i128::from(*i) % i128::from(*divisor) == i128::from(*remainder),
            Value::Long(i) => i128::from(*i) % i128::from(*divisor) == i128::from(*remainder),
            Value::Double(d) => {
                let whole = d.trunc() as i128;
                i64::try_from(whole).is_ok()
                    && d.is_finite()
                    && whole % i128::from(*divisor) == i128::from(*remainder)
            }
            _ => false,
        }),
        Test::Bits { mode, mask } => here(&|c| {
            let bits = match c {
                Value::Int(i) => i64::from(*i),
                Value::Long(i) => *i,
                Value::Double(d)
                    if d.fract() == 0.0 && i64::try_from(*d as i128).is_ok() && d.is_finite() =>
                {
                    *d as i64
                }
                _ => return false,
            };
            let asked = (0..64).filter(|bit| mask >> bit & 1 == 1);
            let set: Vec<bool> = asked.map(|bit| bits >> bit & 1 == 1).collect();
            match mode {
                BitsMode::AllSet => set.iter().all(|s| *s),
                BitsMode::AnySet => set.iter().any(|s| *s),
                BitsMode::AllClear => set.iter().all(|s| !*s),
                BitsMode::AnyClear => set.iter().any(|s| !*s),
            }
        }),
        Test::Regex(pattern) => some(&|c| is(c, &Member::Regex(pattern.clone()))),
        Test::ElemMatch(inner) => array(&|items| element(inner, items)),
        Test::Not(conditions) => !hold(conditions, whole, unwound),
        Test::Comment(_) => true,
        other => panic!("{other:?}"),
    }
}

fn equal(candidate: Option<&Value>, value: &Value) -> bool {
    compare(candidate.unwrap_or(&Value::Null), value).is_eq()
}

fn is_nan(value: &Value) -> bool {
    matches!(value, Value::Double(d) if d.is_nan())
}

/// Whether the two are of one class and have an order.
fn ranged(candidate: &Value, value: &Value) -> bool {
    class(candidate) == class(value) && !is_nan(candidate) && !is_nan(value)
}

fn class(value: &Value) -> u8 {
    match value {
        Value::Null => 0,
        Value::Int(_) | Value::Long(_) | Value::Double(_) => 1,
        Value::String(_) => 2,
        Value::Object(_) => 3,
        Value::Array(_) => 4,
        Value::Bool(_) => 5,
        Value::Date(_) => 6,
        other => panic!("{other:?}"),
    }
}

/// The patterns that are generated, in plain words.
fn is(candidate: Option<&Value>, member: &Member) -> bool {
    let pattern = match member {
        Member::Value(value) => return equal(candidate, value),
        Member::Regex(pattern) => pattern,
    };
    let Some(Value::String(text)) = candidate else {
        return false;
    };
    let (insensitive, any) = (
        pattern.options().contains('i'),
        pattern.options().contains('s'),
    );
    let multi = pattern.options().contains('m');
    let fold = |s: &str| {
        if insensitive {
            s.to_lowercase()
        } else {
            s.to_owned()
        }
    };
    let text = fold(text);
    let lines = || text.split('\n');
    match pattern.text() {
        "" | "^" => true,
        "a" | "é" | "/" => text.contains(pattern.text()),
        "^a" if multi => lines().any(|line| line.starts_with('a')),
        "^a" => text.starts_with('a'),
        "^a$" if multi => lines().any(|line| line == "a"),
        "^a$" => text == "a",
        "b$" if multi => lines().any(|line| line.ends_with('b')),
        "b$" => text.ends_with('b'),
        r"\." => text.contains('.'),
        "[ab]" => text.contains(['a', 'b']),
        "(?i)B" => text.to_lowercase().contains('b'),
        "a.b" => {
            let chars: Vec<char> = text.chars().collect();
            let mut windows = chars.windows(3);
            windows.any(|w| w[0] == 'a' && w[2] == 'b' && (any || w[1] != '\n'))
        }
        other => panic!("{other}"),
    }
}

fn of_type(value: &Value, name: TypeName) -> bool {
    match name {
        TypeName::Double => matches!(value, Value::Double(_)),
        TypeName::Int => matches!(value, Value::Int(_)),
        TypeName::Long => matches!(value, Value::Long(_)),
        TypeName::Number => class(value) == 1,
        TypeName::String => class(value) == 2,
        TypeName::Object => class(value) == 3,
        TypeName::Array => class(value) == 4,
        TypeName::Bool => class(value) == 5,
        TypeName::Date => class(value) == 6,
        TypeName::Null => class(value) == 0,
        _ => false,
    }
}

fn element(inner: &ElemMatch, items: &[Value]) -> bool {
    items.iter().any(|item| match (inner, item) {
        (ElemMatch::Value(conditions), item) => {
            let only = vec![Some(item.clone())];
            hold(conditions, &only, &only)
        }
        (ElemMatch::Object(filter), Value::Object(_)) => matches(filter, item),
        (ElemMatch::Object(filter), Value::Array(items)) => {
            let keyed = items
                .iter()
                .enumerate()
                .map(|(i, v)| (i.to_string(), v.clone()));
            matches(filter, &Value::Object(keyed.collect::<Object>()))
        }
        _ => false,
    })
}
