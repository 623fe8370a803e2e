/// What can be sorted: a small value that can be written as bytes and read back.
///
/// The bytes live only as long as the sort. They carry no length of their own from this crate: a
/// record of variable size writes its length itself.
pub trait Record: Sized {
    /// Appends the bytes of this record to `out`.
    fn encode(&self, out: &mut Vec<u8>);

    /// Reads the record that begins `input`, and says how many bytes it took. `input` may go on
    /// with further records. `None` if these are not the bytes of a record.
    fn decode(input: &[u8]) -> Option<(Self, usize)>;

    /// Bytes that this record holds beyond its own size, to be counted against the limit of
    /// memory: for a string its capacity.
    fn heap_bytes(&self) -> usize {
        0
    }
}

macro_rules! integers {
    ($($integer:ty),*) => {$(
        impl Record for $integer {
            fn encode(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_le_bytes());
            }

            fn decode(input: &[u8]) -> Option<(Self, usize)> {
                let (bytes, _) = input.split_first_chunk()?;
                Some((Self::from_le_bytes(*bytes), bytes.len()))
            }
        }
    )*};
}

integers!(u32, u64, u128, i32, i64, i128);

impl<const N: usize> Record for [u8; N] {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }

    fn decode(input: &[u8]) -> Option<(Self, usize)> {
        input.first_chunk().map(|bytes| (*bytes, N))
    }
}

/// Bytes of any length.
impl Record for Vec<u8> {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&(self.len() as u64).to_le_bytes());
        out.extend_from_slice(self);
    }

    fn decode(input: &[u8]) -> Option<(Self, usize)> {
        let (length, rest) = input.split_first_chunk()?;
        let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
        let bytes = rest.get(..length)?;
        Some((bytes.to_vec(), 8 + length))
    }

    fn heap_bytes(&self) -> usize {
        self.capacity()
    }
}

impl Record for String {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&(self.len() as u64).to_le_bytes());
        out.extend_from_slice(self.as_bytes());
    }

    fn decode(input: &[u8]) -> Option<(Self, usize)> {
        let (bytes, taken) = Vec::decode(input)?;
        Some((Self::from_utf8(bytes).ok()?, taken))
    }

    fn heap_bytes(&self) -> usize {
        self.capacity()
    }
}
