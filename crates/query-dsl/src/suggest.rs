//! What was probably meant.

/// The name nearest to `written`, case aside: at most one edit away for short names, two for
/// others. A transposition is one edit. Of equally near names the first is taken.
pub fn nearest<'n>(written: &str, names: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let written = written.to_lowercase();
    let length = written.trim_start_matches('$').chars().count();
    let limit = if length <= 4 { 1 } else { 2 };
    // A suggestion that keeps nothing of a very short name helps nobody.
    let limit = if length <= 1 { 0 } else { limit };
    names
        .into_iter()
        .map(|name| (strsim::osa_distance(&written, &name.to_lowercase()), name))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}
