use tracker_model::{MAX_BATCH_POINTS, PointBatch, Values};

/// Puts the next points of a series behind those that wait, in as few batches as their forms
/// allow.
pub(crate) fn push_joined(waiting: &mut Vec<(u64, PointBatch)>, at: u64, batch: PointBatch) {
    match waiting.last_mut() {
        Some((_, last)) if last.len() + batch.len() <= MAX_BATCH_POINTS && alike(last, &batch) => {
            join(last, batch)
        }
        _ => waiting.push((at, batch)),
    }
}

fn alike(a: &PointBatch, b: &PointBatch) -> bool {
    a.values.kind() == b.values.kind()
        && a.rows.is_some() == b.rows.is_some()
        && a.times.is_some() == b.times.is_some()
}

/// Puts a batch of the same form behind another one.
fn join(a: &mut PointBatch, b: PointBatch) {
    let (before, more) = (a.len(), b.len());
    a.steps.extend(b.steps);
    if let (Some(a), Some(b)) = (&mut a.rows, b.rows) {
        a.extend(b);
    }
    if let (Some(a), Some(b)) = (&mut a.times, b.times) {
        a.ms.extend(b.ms);
        if a.sub_ns.is_some() || b.sub_ns.is_some() {
            let sub = a.sub_ns.get_or_insert_with(|| vec![0; before]);
            sub.extend(b.sub_ns.unwrap_or_else(|| vec![0; more]));
        }
    }
    match (&mut a.values, b.values) {
        (Values::F64(a), Values::F64(b)) => a.extend(b),
        (Values::I64(a), Values::I64(b)) => a.extend(b),
        (Values::Bool(a), Values::Bool(b)) => a.extend(b),
        (Values::Str(a), Values::Str(b)) | (Values::Json(a), Values::Json(b)) => a.extend(b),
        _ => {}
    }
}
