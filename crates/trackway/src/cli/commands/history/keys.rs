use globset::Glob;
use tracker_model::{SeriesInfo, SeriesKey};

use crate::cli::{
    failure::{Failure, Result},
    text::{did_you_mean, nearest, one_line},
};

/// The series that are asked for by name or pattern, in their own order; all without a pattern.
pub(in crate::cli::commands) fn chosen(
    all: Vec<SeriesInfo>,
    patterns: &[String],
) -> Result<Vec<SeriesInfo>> {
    if patterns.is_empty() {
        return Ok(all);
    }
    let mut wanted = vec![false; all.len()];
    for pattern in patterns {
        let glob = Glob::new(pattern).ok().map(|glob| glob.compile_matcher());
        let exact = all.iter().any(|s| s.key.as_str() == pattern);
        let mut any = false;
        for (series, wanted) in all.iter().zip(&mut wanted) {
            let key = series.key.as_str();
            if key == pattern || (!exact && glob.as_ref().is_some_and(|glob| glob.is_match(key))) {
                (any, *wanted) = (true, true);
            }
        }
        if !any {
            return Err(unknown(&all, pattern));
        }
    }
    Ok(all
        .into_iter()
        .zip(wanted)
        .filter_map(|(series, wanted)| wanted.then_some(series))
        .collect())
}

/// The series with this name.
pub(super) fn one(all: &[SeriesInfo], key: &str) -> Result<SeriesKey> {
    let found = all.iter().find(|s| s.key.as_str() == key);
    found
        .map(|s| s.key.clone())
        .ok_or_else(|| unknown(all, key))
}

/// There is no such series; perhaps another one is meant.
fn unknown(all: &[SeriesInfo], pattern: &str) -> Failure {
    let near = nearest(pattern, all.iter().map(|s| s.key.as_str()));
    let few: Vec<_> = all
        .iter()
        .take(8)
        .map(|s| one_line(s.key.as_str()))
        .collect();
    let more = if all.len() > few.len() { ", …" } else { "" };
    Failure::not_found(format!("the run has no series {:?}", one_line(pattern))).with_hint(
        did_you_mean(&near).unwrap_or_else(|| format!("it has {}{more}", few.join(", "))),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(patterns: &[&str], expected: &[&str]) {
        let all = ["a[b]", "ab", "train/loss", "val/loss"]
            .map(|key| SeriesInfo::new(key.into()))
            .to_vec();
        let patterns: Vec<String> = patterns.iter().map(|&p| p.to_owned()).collect();
        let found = chosen(all, &patterns).unwrap();
        assert_eq!(
            found.iter().map(|s| s.key.as_str()).collect::<Vec<_>>(),
            expected
        );
    }

    #[test]
    fn names_and_patterns() {
        check(&[], &["a[b]", "ab", "train/loss", "val/loss"]);
        check(&["*loss"], &["train/loss", "val/loss"]);
        check(&["val/loss", "ab"], &["ab", "val/loss"]);
        check(&["a[b]"], &["a[b]"]);
    }

    #[test]
    fn unknown_names_are_errors() {
        let all = vec![SeriesInfo::new("train/loss".into())];
        let Err(Failure::Told { message, hint, .. }) = chosen(all, &["trian/loss".to_owned()])
        else {
            panic!()
        };
        assert_eq!(message, "the run has no series \"trian/loss\"");
        assert_eq!(hint.unwrap(), "did you mean train/loss?");
    }
}
