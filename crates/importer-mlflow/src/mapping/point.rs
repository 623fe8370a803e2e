use std::cmp::Ordering;

/// How MLflow compares values: its databases keep a NaN as 0.
fn compared(value: f64) -> f64 {
    if value.is_nan() { 0.0 } else { value }
}

/// The order of a series in MLflow's databases and in the answers of its servers: by time, step
/// and value. A NaN stands where 0 stands, behind it.
pub(crate) fn history_order(a: (i64, i64, f64), b: (i64, i64, f64)) -> Ordering {
    (a.0, a.1)
        .cmp(&(b.0, b.1))
        .then_with(|| {
            compared(a.2)
                .partial_cmp(&compared(b.2))
                .unwrap_or(Ordering::Equal)
        })
        .then_with(|| a.2.is_nan().cmp(&b.2.is_nan()))
}

/// The latest point of a metric by MLflow's rule: the greatest step, of these the greatest time,
/// of these the greatest value; the first of equal ones.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Latest {
    step: i64,
    time: i64,
    value: f64,
}

impl Latest {
    /// The first point.
    pub(crate) fn new(step: i64, time: i64, value: f64) -> Self {
        Self { step, time, value }
    }

    /// The next point.
    pub(crate) fn observe(&mut self, step: i64, time: i64, value: f64) {
        let order = (step, time).cmp(&(self.step, self.time));
        if order.is_gt() || order.is_eq() && compared(value) > compared(self.value) {
            *self = Self { step, time, value };
        }
    }

    /// Its value.
    pub(crate) fn value(self) -> f64 {
        self.value
    }
}
