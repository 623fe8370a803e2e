/// When the store says that something is done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Durability {
    /// When it survives the loss of power: every acknowledgement waits for the disk.
    #[default]
    Power,
    /// When it survives the end of the process, however that ends. After a loss of power the last
    /// changes may be gone, the store is sound all the same. For tests and for disks that are slow
    /// to flush.
    Process,
}

/// How a store is opened.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct StoreOptions {
    /// Makes the store if there is none; by default so.
    pub create: bool,
    /// Changes nothing: every call that would fails with `PermissionDenied`.
    pub read_only: bool,
    /// When a change counts as done.
    pub durability: Durability,
    /// About how many bytes of memory one [`tracker_model::HistoryWriter`] uses; by default
    /// 12 MiB, at least 1 MiB.
    pub history_buffer_bytes: usize,
    /// Connections that read the catalog at once; by default 4, at least 1.
    pub readers: usize,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            create: true,
            read_only: false,
            durability: Durability::Power,
            history_buffer_bytes: 12 << 20,
            readers: 4,
        }
    }
}

impl StoreOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets [`create`](Self::create).
    #[must_use]
    pub fn with_create(mut self, create: bool) -> Self {
        self.create = create;
        self
    }

    /// Sets [`read_only`](Self::read_only).
    #[must_use]
    pub fn with_read_only(mut self, read_only: bool) -> Self {
        self.read_only = read_only;
        self
    }

    /// Sets [`durability`](Self::durability).
    #[must_use]
    pub fn with_durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// Sets [`history_buffer_bytes`](Self::history_buffer_bytes).
    #[must_use]
    pub fn with_history_buffer_bytes(mut self, bytes: usize) -> Self {
        self.history_buffer_bytes = bytes;
        self
    }
}
