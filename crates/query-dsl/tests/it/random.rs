//! Random documents and filters. Names and values are few, so that they meet.

use proptest::{collection::vec, prelude::*, sample::select};
use query_dsl::{
    BitsMode, Condition, Direction, ElemMatch, FieldFilter, Filter, Member, Object, Order,
    OrderKey, Path, Pattern, Place, Test, TypeName, Value,
};

fn scalar() -> impl Strategy<Value = Value> {
    let numbers = [
        Value::Int(0),
        Value::Int(1),
        Value::Int(-5),
        Value::Int(2),
        Value::Long(5_000_000_000),
        Value::Long(i64::MAX),
        Value::Long(i64::MIN),
        Value::Long(9_007_199_254_740_993),
        Value::Long(1),
        Value::Double(1.0),
        Value::Double(2.5),
        Value::Double(-0.0),
        Value::Double(9_007_199_254_740_992.0),
        Value::Double(9_223_372_036_854_775_808.0),
        Value::Double(f64::NAN),
        Value::Double(f64::INFINITY),
        Value::Double(f64::NEG_INFINITY),
    ];
    let texts = [
        "", "a", "b", "ab", "B", "é", "1", "a\0b", "a\nb", "a.b", "7d", "it's", "日本",
    ];
    let others = [
        Value::Null,
        Value::Bool(true),
        Value::Bool(false),
        Value::Date(0),
        Value::Date(1_704_067_200_000),
        Value::Date(-1),
    ];
    prop_oneof![
        4 => select(numbers.to_vec()),
        4 => select(texts.map(Value::from).to_vec()),
        3 => select(others.to_vec()),
    ]
}

fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        10 => select(vec!["a", "b", "0", "1"]),
        1 => select(vec!["a.b", "é", "it's", "01", "x y"]),
    ]
    .prop_map(str::to_owned)
}

fn object(value: impl Strategy<Value = Value>) -> impl Strategy<Value = Value> {
    vec((key(), value), 0..4)
        .prop_map(|entries| Value::Object(entries.into_iter().collect::<Object>()))
}

pub(crate) fn value() -> impl Strategy<Value = Value> {
    scalar().prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::Array),
            object(inner),
        ]
    })
}

pub(crate) fn document() -> impl Strategy<Value = Value> {
    object(value())
}

pub(crate) fn path() -> impl Strategy<Value = Path> {
    let joined = prop_oneof![4 => Just(None), 1 => (0..2_usize).prop_map(Some)];
    let optional = prop_oneof![3 => Just(None), 1 => (1..4_usize).prop_map(Some)];
    (vec(key(), 1..5), joined, optional).prop_map(|(parts, joined, optional)| {
        let mut path = Path::new(parts);
        if let Some(first) = joined {
            path = path.with_joined_keys(first);
        }
        if let Some(index) = optional {
            path = path.with_optional_part(index);
        }
        path
    })
}

fn pattern() -> impl Strategy<Value = Pattern> {
    let texts = [
        "a", "^a", "^a$", "b$", "a.b", "", "^", r"\.", "[ab]", "(?i)B", "é", "/",
    ];
    (select(texts.to_vec()), select(vec!["", "i", "s", "im"]))
        .prop_map(|(text, options)| Pattern::new(text, options))
}

fn member() -> impl Strategy<Value = Member> {
    prop_oneof![
        6 => value().prop_map(Member::Value),
        1 => pattern().prop_map(Member::Regex),
    ]
}

fn types() -> impl Strategy<Value = Vec<TypeName>> {
    let all = [
        TypeName::Double,
        TypeName::String,
        TypeName::Object,
        TypeName::Array,
        TypeName::Bool,
        TypeName::Date,
        TypeName::Null,
        TypeName::Int,
        TypeName::Long,
        TypeName::Number,
        TypeName::Decimal,
    ];
    vec(select(all.to_vec()), 1..3)
}

fn simple_test() -> impl Strategy<Value = Test> {
    let modes = [
        BitsMode::AllSet,
        BitsMode::AnySet,
        BitsMode::AllClear,
        BitsMode::AnyClear,
    ];
    prop_oneof![
        3 => value().prop_map(Test::Eq),
        2 => value().prop_map(Test::Ne),
        2 => value().prop_map(Test::Gt),
        2 => value().prop_map(Test::Gte),
        2 => value().prop_map(Test::Lt),
        2 => value().prop_map(Test::Lte),
        2 => vec(member(), 0..4).prop_map(Test::In),
        1 => vec(member(), 0..4).prop_map(Test::Nin),
        1 => vec(member(), 0..3).prop_map(Test::All),
        2 => any::<bool>().prop_map(Test::Exists),
        2 => types().prop_map(Test::Type),
        2 => (0..4_u64).prop_map(Test::Size),
        1 => (select(vec![1, 2, -3, i64::MAX]), -2..3_i64)
            .prop_map(|(divisor, remainder)| Test::Mod { divisor, remainder }),
        1 => (select(modes.to_vec()), select(vec![0, 1, 2, 5, 1 << 63, u64::MAX]))
            .prop_map(|(mode, mask)| Test::Bits { mode, mask }),
        1 => pattern().prop_map(Test::Regex),
        1 => Just(Test::Comment(Value::from("x"))),
    ]
}

/// Conditions of which each has its own operator.
fn conditions(
    test: impl Strategy<Value = Test>,
    most: usize,
) -> impl Strategy<Value = Vec<Condition>> {
    vec(test, 1..=most).prop_map(|tests| {
        let mut out: Vec<Condition> = Vec::new();
        for test in tests {
            let operator = test.operator();
            if out.iter().all(|c| c.test.operator() != operator) {
                out.push(test.into());
            }
        }
        out
    })
}

fn not(test: impl Strategy<Value = Test>) -> impl Strategy<Value = Test> {
    conditions(test, 2).prop_map(Test::Not)
}

fn element(filter: impl Strategy<Value = Filter>) -> impl Strategy<Value = ElemMatch> {
    let tests = prop_oneof![4 => simple_test(), 1 => not(simple_test())];
    prop_oneof![
        // A comment first, or a list of filters, would make it the other kind.
        conditions(tests, 2).prop_map(ElemMatch::Value),
        filter.prop_map(|filter| ElemMatch::Object(Box::new(filter))),
    ]
}

fn field(test: impl Strategy<Value = Test>) -> impl Strategy<Value = Filter> {
    (path(), vec(test.prop_map(Condition::from), 1..3)).prop_map(|(path, conditions)| {
        Filter::Field(FieldFilter {
            path,
            conditions,
            place: Place::default(),
        })
    })
}

pub(crate) fn filter() -> impl Strategy<Value = Filter> {
    let leaf = field(prop_oneof![6 => simple_test(), 1 => not(simple_test())]);
    leaf.prop_recursive(3, 12, 3, |inner| {
        let elements = || element(inner.clone());
        let nested = prop_oneof![
            3 => elements().prop_map(Test::ElemMatch),
            1 => vec(elements(), 0..3).prop_map(Test::AllElemMatch),
            1 => not(not(simple_test())),
        ];
        prop_oneof![
            2 => vec(inner.clone(), 0..3).prop_map(Filter::And),
            2 => vec(inner.clone(), 0..3).prop_map(Filter::Or),
            2 => vec(inner.clone(), 0..3).prop_map(Filter::Nor),
            4 => field(nested),
            1 => Just(Filter::Comment(Value::from("why"))),
        ]
    })
}

pub(crate) fn order() -> impl Strategy<Value = Order> {
    let direction = select(vec![Direction::Ascending, Direction::Descending]);
    let key = (path(), direction).prop_map(|(path, direction)| OrderKey { path, direction });
    vec(key, 1..3).prop_map(Order::new)
}
