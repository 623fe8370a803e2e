//! What a sweep tries next.

pub(crate) mod hand_out;
pub(crate) mod hyperband;
pub(crate) mod space;
