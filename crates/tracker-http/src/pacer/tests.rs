use reqwest::header::{HeaderName, HeaderValue};

use super::*;

fn headers<const N: usize>(pairs: [(&'static str, &str); N]) -> HeaderMap {
    pairs
        .into_iter()
        .map(|(name, value)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_str(value).unwrap(),
            )
        })
        .collect()
}

#[test]
fn retry_after_in_seconds_and_as_a_date() {
    assert_eq!(
        retry_after(&headers([("retry-after", "120")])),
        Some(Duration::from_secs(120))
    );
    assert_eq!(
        retry_after(&headers([("retry-after", "0.25")])),
        Some(Duration::from_millis(250))
    );
    assert_eq!(
        retry_after(&headers([("retry-after", "Wed, 21 Oct 2015 07:28:00 GMT")])),
        Some(Duration::ZERO)
    );
    for wrong in ["", "soon", "-3", "NaN", "inf", "Wed, 99 Oct 2015"] {
        assert_eq!(
            retry_after(&headers([("retry-after", wrong)])),
            None,
            "{wrong}"
        );
    }
    let soon = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(90);
    let date = jiff::fmt::rfc2822::DateTimePrinter::new()
        .timestamp_to_rfc9110_string(&soon)
        .unwrap();
    let wait = retry_after(&headers([("retry-after", &date)])).unwrap();
    assert!((85..=90).contains(&wait.as_secs()), "{date}: {wait:?}");
}

#[test]
fn quotas_in_their_spellings() {
    let quota = |headers| Quota::read(&headers);
    let expected = |remaining, reset, limit| {
        Some(Quota {
            remaining,
            reset: Duration::from_secs(reset),
            limit,
        })
    };
    assert_eq!(
        quota(headers([
            ("ratelimit-remaining", "5"),
            ("ratelimit-reset", "30")
        ])),
        expected(5, 30, None)
    );
    let long = [
        ("x-ratelimit-remaining", "0"),
        ("x-ratelimit-reset", "7"),
        ("x-ratelimit-limit", "100, 100;w=60"),
    ];
    assert_eq!(quota(headers(long)), expected(0, 7, Some(100)));
    assert_eq!(quota(headers([("ratelimit-remaining", "5")])), None);
    assert_eq!(
        quota(headers([
            ("ratelimit-remaining", "many"),
            ("ratelimit-reset", "1")
        ])),
        None
    );
    let epoch = (since_epoch() as u64 + 60).to_string();
    let reset = quota(headers([
        ("x-ratelimit-remaining", "1"),
        ("x-ratelimit-reset", &epoch),
    ]))
    .unwrap()
    .reset;
    assert!((58..=60).contains(&reset.as_secs()), "{reset:?}");
}

#[tokio::test(start_paused = true)]
async fn a_pause_holds_for_all_and_ends_one_by_one() {
    let pacer = Pacer::default();
    let pace = pacer.host("host:1");
    assert_eq!(pace.wait(), Duration::ZERO);
    pace.pause_until(Instant::now() + Duration::from_secs(3));
    let other = pacer.host("host:1");
    assert_eq!(other.wait(), Duration::from_secs(3));
    assert_eq!(pace.wait(), Duration::from_secs(3) + STAGGER);
    assert_eq!(pacer.host("host:2").wait(), Duration::ZERO);
    // A shorter pause does not end a longer one.
    pace.pause_until(Instant::now() + Duration::from_secs(1));
    tokio::time::advance(Duration::from_secs(2)).await;
    assert!(pace.wait() >= Duration::from_secs(1));
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(pace.wait(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_scarce_quota_spreads_the_requests() {
    let pace = HostPace::default();
    let scarce = [
        ("ratelimit-remaining", "2"),
        ("ratelimit-reset", "10"),
        ("ratelimit-limit", "100"),
    ];
    pace.note(&headers(scarce), Duration::from_secs(300));
    assert_eq!(pace.wait(), Duration::ZERO);
    assert_eq!(pace.wait(), Duration::from_secs(5));
    tokio::time::advance(Duration::from_secs(5)).await;
    assert_eq!(pace.wait(), Duration::ZERO);
    assert_eq!(pace.wait(), Duration::from_secs(5));
    tokio::time::advance(Duration::from_secs(5)).await;
    assert_eq!((pace.wait(), pace.wait()), (Duration::ZERO, Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn an_empty_quota_pauses_until_its_reset_but_not_for_ever() {
    let pace = HostPace::default();
    assert!(!pace.has_answered());
    let empty = [("ratelimit-remaining", "0"), ("ratelimit-reset", "86400")];
    pace.note(&headers(empty), Duration::from_secs(300));
    assert!(pace.has_answered());
    assert_eq!(pace.wait(), Duration::from_secs(300));
    let plenty = [
        ("ratelimit-remaining", "90"),
        ("ratelimit-reset", "10"),
        ("ratelimit-limit", "100"),
    ];
    let pace = HostPace::default();
    pace.note(&headers(plenty), Duration::from_secs(300));
    assert_eq!((pace.wait(), pace.wait()), (Duration::ZERO, Duration::ZERO));
}
