use super::*;

fn spilled(records: &[u64]) -> Run {
    let mut file = SpillFile::create(None).unwrap();
    let extent = file
        .write_run(records.iter().map(|record| Ok(*record)), 100)
        .unwrap();
    Run::new(Arc::new(file), extent)
}

fn read(run: &Run) -> io::Result<Vec<u64>> {
    let mut reader = run.clone().read();
    let mut records = Vec::new();
    while let Some(record) = reader.next()? {
        records.push(record);
    }
    Ok(records)
}

#[test]
fn a_run_is_read_back() {
    let records: Vec<u64> = (0..1000).collect();
    assert_eq!(read(&spilled(&records)).unwrap(), records);
}

#[test]
fn a_file_that_lost_its_end_is_an_error() {
    let run = spilled(&(0..1000).collect::<Vec<_>>());
    for kept in [0, 5, 24, 30, run.extent.end - 1] {
        run.file.file().set_len(kept).unwrap();
        let error = read(&run).unwrap_err();
        assert_eq!(
            error.kind(),
            io::ErrorKind::UnexpectedEof,
            "{kept} bytes kept: {error}"
        );
    }
}

#[test]
fn any_changed_byte_is_an_error() {
    let records: Vec<u64> = (0..60).collect();
    let length = spilled(&records).extent.end;
    for at in 0..length {
        let run = spilled(&records);
        let mut file = run.file.file();
        let mut byte = [0];
        file.seek(SeekFrom::Start(at)).unwrap();
        file.read_exact(&mut byte).unwrap();
        file.seek(SeekFrom::Start(at)).unwrap();
        file.write_all(&[byte[0] ^ 0x40]).unwrap();
        // The number of records of a block is not in its checksum: too many cannot be decoded,
        // and 64 more than few are too many.
        assert!(read(&run).is_err(), "byte {at} was changed");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_an_error() {
    let full = std::fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let mut file = SpillFile::over(full);
    let error = file.write_run((0..1000_u64).map(Ok), 100).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull, "{error}");
}

#[test]
fn a_missing_folder_is_named() {
    let error = SpillFile::create(Some(Path::new("no/such/folder"))).unwrap_err();
    assert!(error.to_string().contains("no/such/folder"), "{error}");
}
