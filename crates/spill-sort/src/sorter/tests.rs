use std::time::Instant;

use proptest::prelude::*;

use super::*;

/// A key to sort by, the place in the input, and a text of any length.
#[derive(Debug, Clone, PartialEq)]
struct Entry {
    key: u8,
    place: u64,
    text: String,
}

impl Record for Entry {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(self.key);
        self.place.encode(out);
        self.text.encode(out);
    }

    fn decode(input: &[u8]) -> Option<(Self, usize)> {
        let (key, rest) = input.split_first()?;
        let (place, first) = u64::decode(rest)?;
        let (text, second) = String::decode(rest.get(first..)?)?;
        Some((
            Self {
                key: *key,
                place,
                text,
            },
            1 + first + second,
        ))
    }

    fn heap_bytes(&self) -> usize {
        self.text.capacity()
    }
}

fn by_key(a: &Entry, b: &Entry) -> Ordering {
    a.key.cmp(&b.key)
}

fn sorted<T: Record, F: Fn(&T, &T) -> Ordering>(
    records: impl IntoIterator<Item = T>,
    memory_bytes: usize,
    compare: F,
) -> (Vec<T>, bool) {
    let mut sorter = Sorter::new(
        SorterOptions::default().with_memory_bytes(memory_bytes),
        compare,
    );
    for record in records {
        sorter.push(record).unwrap();
    }
    let sorted = sorter.finish().unwrap();
    let is_spilled = sorted.is_spilled();
    (sorted.collect::<io::Result<_>>().unwrap(), is_spilled)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn same_as_a_stable_sort_in_memory(
        keys in prop::collection::vec((any::<u8>(), 0..200_usize), 0..600),
        memory_bytes in prop_oneof![Just(0_usize), 1..300_usize, 300..100_000_usize],
    ) {
        let entries: Vec<Entry> = keys
            .into_iter()
            .enumerate()
            .map(|(place, (key, length))| Entry { key, place: place as u64, text: "x".repeat(length) })
            .collect();
        let mut expected = entries.clone();
        expected.sort_by(by_key);
        prop_assert_eq!(sorted(entries, memory_bytes, by_key).0, expected);
    }
}

#[test]
fn nothing_is_spilled_that_fits() {
    let (records, is_spilled) = sorted((0..1000_u64).rev(), 16_000, u64::cmp);
    assert!(!is_spilled);
    assert!(records.is_sorted());
    let (records, is_spilled) = sorted((0..1001_u64).rev(), 16_000, u64::cmp);
    assert!(is_spilled);
    assert!(records.is_sorted());
    assert_eq!(records.len(), 1001);
}

#[test]
fn many_runs_are_merged_in_passes() {
    // 64 bytes of memory hold 4 numbers: 1,000 runs, and room for two readers at a time.
    let numbers: Vec<u64> = (0..20_000_u64)
        .map(|number| number.wrapping_mul(0x9e37_79b9_7f4a_7c15))
        .collect();
    let mut expected = numbers.clone();
    expected.sort_unstable();
    assert_eq!(sorted(numbers, 64, u64::cmp).0, expected);
}

#[test]
fn large_records_limit_how_many_runs_are_merged_at_once() {
    let options = SorterOptions::default().with_memory_bytes(1 << 20);
    let mut sorter = Sorter::new(options, |a: &Vec<u8>, b: &Vec<u8>| a.cmp(b));
    for number in (0..40_u8).rev() {
        sorter.push(vec![number; 400 << 10]).unwrap();
    }
    sorter.spill_records().unwrap();
    let file = Arc::new(sorter.spill.take().unwrap());
    let runs = sorter
        .extents
        .iter()
        .map(|extent| Run::new(file.clone(), *extent))
        .collect();
    let sizes: Vec<usize> = sorter.groups(runs).iter().map(Vec::len).collect();
    assert_eq!(sizes, [2; 20]);
}

/// A number that cannot be read back when it is 777.
struct Fragile(u64);

impl Record for Fragile {
    fn encode(&self, out: &mut Vec<u8>) {
        self.0.encode(out);
    }

    fn decode(input: &[u8]) -> Option<(Self, usize)> {
        u64::decode(input)
            .filter(|(number, _)| *number != 777)
            .map(|(number, taken)| (Self(number), taken))
    }
}

#[test]
fn a_record_that_cannot_be_read_is_one_error_and_the_end() {
    let compare = |a: &Fragile, b: &Fragile| a.0.cmp(&b.0);
    let mut sorter = Sorter::new(SorterOptions::default().with_memory_bytes(100_000), compare);
    for number in 0..20_000 {
        sorter.push(Fragile(number)).unwrap();
    }
    let items: Vec<_> = sorter.finish().unwrap().collect();
    let error = items.last().unwrap().as_ref().err().unwrap();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{error}");
    assert_eq!(items.iter().filter(|item| item.is_err()).count(), 1);
}

#[test]
fn no_records_are_fine() {
    assert_eq!(sorted(Vec::<u64>::new(), 0, u64::cmp), (Vec::new(), false));
}

#[test]
#[ignore = "a measurement, to be run alone with --release"]
fn twenty_million_records() {
    let peak = || {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        status
            .lines()
            .find(|line| line.starts_with("VmHWM"))
            .unwrap_or_default()
            .to_owned()
    };
    let compare = |a: &[u8; 24], b: &[u8; 24]| a.cmp(b);
    for shuffled in [false, true] {
        let begin = Instant::now();
        let mut sorter = Sorter::new(SorterOptions::default(), compare);
        for number in 0..20_000_000_u64 {
            let key = if shuffled {
                number.wrapping_mul(0x9e37_79b9_7f4a_7c15)
            } else {
                number
            };
            let mut record = [0; 24];
            record[..8].copy_from_slice(&key.to_be_bytes());
            sorter.push(record).unwrap();
        }
        let pushed = begin.elapsed();
        let count = sorter.finish().unwrap().map(Result::unwrap).is_sorted();
        assert!(count);
        println!(
            "shuffled {shuffled}: pushed {pushed:.2?}, all {:.2?}, {}",
            begin.elapsed(),
            peak()
        );
    }
}
