use std::{future::Future, sync::Arc};

use serde_json::{Value as Json, json};

use super::support::{kind, list};
use crate::{ErrorKind, MAX_RECORD_BYTES, Record, RecordCondition, RecordStore, Timestamp};

const ANY: RecordCondition = RecordCondition::None;

/// The suite that every [`RecordStore`] passes: values as they are, conditions, listing by prefix.
pub async fn records<F, Fut>(factory: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = Arc<dyn RecordStore>>,
{
    let store = factory().await;
    let store = &*store;
    values(store).await;
    conditions(store).await;
    listing(store).await;
    sizes(store).await;
    races(&factory().await).await;
}

async fn values(store: &dyn RecordStore) {
    assert_eq!(store.record("s", "k").await.unwrap(), None);
    assert!(!store.delete_record("s", "k").await.unwrap());
    let values = [
        Json::Null,
        json!(true),
        json!(""),
        json!("\u{0} \u{1f600} '\""),
        json!(u64::MAX),
        json!(i64::MIN),
        json!(-0.0),
        json!(1.0),
        json!(0.1),
        json!([]),
        json!({ "": { "a": [1, null, { "b": 1e300 }] }, "z": 1, "a": 2 }),
    ];
    for (version, value) in (1..).zip(values) {
        let before = Timestamp::now();
        let put = store
            .put_record("s", "k", value.clone(), ANY)
            .await
            .unwrap();
        assert_eq!((put.key.as_str(), put.version), ("k", version));
        assert_eq!(put.value.to_string(), value.to_string());
        assert!(put.updated_at >= before && put.updated_at <= Timestamp::now());
        let there = store.record("s", "k").await.unwrap();
        assert_eq!(
            there.as_ref().map(|r| r.value.to_string()),
            Some(value.to_string()),
            "numbers stay of their kind"
        );
        assert_eq!(there, Some(put), "what was answered is there");
    }
    for (space, key) in [("s", "K"), ("s", "k "), ("S", "k"), ("", "k"), ("sk", "")] {
        assert_eq!(store.record(space, key).await.unwrap(), None);
    }
    assert!(store.delete_record("s", "k").await.unwrap());
    assert_eq!(store.record("s", "k").await.unwrap(), None);
    assert!(!store.delete_record("s", "k").await.unwrap());
}

async fn conditions(store: &dyn RecordStore) {
    use RecordCondition::{Absent, Version};
    let put = async |value: i32, pre| store.put_record("c", "k", json!(value), pre).await;
    assert_eq!(kind(put(0, Version(0)).await), ErrorKind::Conflict);
    assert_eq!(kind(put(0, Version(1)).await), ErrorKind::Conflict);
    assert_eq!(store.record("c", "k").await.unwrap(), None);
    assert_eq!(put(1, Absent).await.unwrap().version, 1);
    assert_eq!(kind(put(2, Absent).await), ErrorKind::AlreadyExists);
    assert_eq!(kind(put(2, Version(2)).await), ErrorKind::Conflict);
    assert_eq!(put(2, Version(1)).await.unwrap().version, 2);
    assert_eq!(kind(put(3, Version(1)).await), ErrorKind::Conflict);
    let there = store.record("c", "k").await.unwrap().unwrap();
    assert_eq!(
        (there.value, there.version),
        (json!(2), 2),
        "what is refused changes nothing"
    );
    store.delete_record("c", "k").await.unwrap();
    assert_eq!(kind(put(3, Version(2)).await), ErrorKind::Conflict);
    assert_eq!(put(3, Absent).await.unwrap().version, 1);
}

async fn listing(store: &dyn RecordStore) {
    let mut keys = vec![
        "",
        "a",
        "a/",
        "a/b",
        "a0",
        "aé",
        "a\u{10ffff}",
        "b",
        "A",
        "%",
        "a%",
        "a_",
    ];
    for key in &keys {
        store.put_record("l", key, json!(key), ANY).await.unwrap();
    }
    store.put_record("l2", "a", json!(0), ANY).await.unwrap();
    keys.sort_unstable();
    let keys_of = |records: Vec<Record>| -> Vec<String> {
        assert!(records.iter().all(|r| r.value == json!(r.key)));
        records.into_iter().map(|r| r.key).collect()
    };
    for prefix in ["", "a", "a/", "a%", "a\u{10ffff}", "b", "c", "é"] {
        let wanted: Vec<&str> = keys
            .iter()
            .copied()
            .filter(|k| k.starts_with(prefix))
            .collect();
        let listed = keys_of(list(store.records("l", prefix)).await);
        assert_eq!(listed, wanted, "the keys with {prefix:?}, in byte order");
    }
    assert!(list(store.records("nothing", "")).await.is_empty());
    // More records than a page holds.
    for i in 0..1_200 {
        let key = format!("{i:04}");
        store.put_record("m", &key, json!(key), ANY).await.unwrap();
    }
    let listed = keys_of(list(store.records("m", "")).await);
    assert!(listed.len() == 1_200 && listed.is_sorted());
    assert_eq!(list(store.records("m", "01")).await.len(), 100);
}

async fn sizes(store: &dyn RecordStore) {
    let text = |bytes: usize| Json::String("x".repeat(bytes - 2));
    for key in ["a", "b"] {
        let put = store
            .put_record("large", key, text(MAX_RECORD_BYTES), ANY)
            .await;
        assert_eq!(put.unwrap().version, 1);
    }
    assert_eq!(list(store.records("large", "")).await.len(), 2);
    let beyond = store
        .put_record("large", "a", text(MAX_RECORD_BYTES + 1), ANY)
        .await;
    assert_eq!(kind(beyond), ErrorKind::InvalidInput);
    let there = store.record("large", "a").await.unwrap().unwrap();
    assert_eq!(there.version, 1);
    assert!(there.value == text(MAX_RECORD_BYTES));
}

/// Of many who put a record on condition, one succeeds each time.
async fn races(store: &Arc<dyn RecordStore>) {
    let count = |_| {
        let store = Arc::clone(store);
        async move {
            let mut tries = 0;
            loop {
                tries += 1;
                let before = store.record("r", "n").await.unwrap();
                let n = before.as_ref().and_then(|r| r.value.as_u64()).unwrap_or(0);
                let pre = before.map_or(RecordCondition::Absent, |r| {
                    RecordCondition::Version(r.version)
                });
                super::support::turns(tries).await;
                match store.put_record("r", "n", json!(n + 1), pre).await {
                    Ok(_) => return,
                    Err(e)
                        if matches!(e.kind(), ErrorKind::Conflict | ErrorKind::AlreadyExists) => {}
                    Err(e) => panic!("{e}"),
                }
            }
        }
    };
    futures::future::join_all((0..20).map(count)).await;
    let there = store.record("r", "n").await.unwrap().unwrap();
    assert_eq!((there.value, there.version), (json!(20), 20));
}
