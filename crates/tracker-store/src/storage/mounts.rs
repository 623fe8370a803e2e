use std::path::Path;

use tracker_model::{Error, ErrorKind, Result};

/// File systems that lie on another machine: SQLite's log needs memory that all its processes
/// share, and their locks are not to be trusted.
const NETWORK: [&str; 29] = [
    "afs",
    "beegfs",
    "ceph",
    "cifs",
    "coda",
    "davfs",
    "fuse.ceph",
    "fuse.davfs2",
    "fuse.gcsfuse",
    "fuse.glusterfs",
    "fuse.goofys",
    "fuse.juicefs",
    "fuse.mount-s3",
    "fuse.rclone",
    "fuse.s3fs",
    "fuse.smbnetfs",
    "fuse.sshfs",
    "glusterfs",
    "gpfs",
    "lustre",
    "ncpfs",
    "nfs",
    "nfs3",
    "nfs4",
    "orangefs",
    "pvfs2",
    "smb2",
    "smb3",
    "smbfs",
];

/// Refuses a folder on a network file system, where that can be seen.
pub(crate) fn refuse_network(dir: &Path) -> Result<()> {
    let Ok(mounts) = std::fs::read_to_string("/proc/self/mountinfo") else {
        return Ok(());
    };
    let Ok(dir) = dir.canonicalize() else {
        return Ok(());
    };
    match file_system(&mounts, &dir) {
        Some(kind) if NETWORK.contains(&kind) => Err(Error::new(
            ErrorKind::Unsupported,
            format!(
                "the folder {} is on a network file system ({kind}), which a store cannot use",
                dir.display()
            ),
        )
        .with_hint(
            "keep the store on a local disk, and reach it from other machines through a server",
        )),
        _ => Ok(()),
    }
}

/// The kind of the file system that holds a path, from the text of `/proc/self/mountinfo`.
fn file_system<'a>(mounts: &'a str, path: &Path) -> Option<&'a str> {
    let mut best: Option<(usize, &str)> = None;
    for line in mounts.lines() {
        let Some((mount, source)) = line.split_once(" - ") else {
            continue;
        };
        let (Some(point), Some(kind)) = (mount.split(' ').nth(4), source.split(' ').next()) else {
            continue;
        };
        let point = unescape(point);
        // Of mounts over each other the last one counts.
        if path.starts_with(&point) && best.is_none_or(|(len, _)| point.len() >= len) {
            best = Some((point.len(), kind));
        }
    }
    best.map(|(_, kind)| kind)
}

/// Undoes `\040` and its like.
fn unescape(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let octal = tail
            .get(..3)
            .filter(|_| *first == b'\\')
            .and_then(|d| std::str::from_utf8(d).ok());
        if let Some(b) = octal.and_then(|d| u8::from_str_radix(d, 8).ok()) {
            bytes.push(b);
            rest = &tail[3..];
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "22 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n\
        40 22 0:40 / /mnt/team\\040share rw,relatime shared:2 - nfs4 host:/x rw\n\
        41 40 0:41 / /mnt/team\\040share/fast rw - xfs /dev/vdb rw\n";

    #[test]
    fn the_innermost_mount_counts() {
        assert_eq!(
            file_system(MOUNTS, Path::new("/mnt/team share/a/b")),
            Some("nfs4")
        );
        assert_eq!(
            file_system(MOUNTS, Path::new("/mnt/team share/fast/b")),
            Some("xfs")
        );
        assert_eq!(file_system(MOUNTS, Path::new("/mnt/team")), Some("ext4"));
        assert_eq!(file_system("rubbish", Path::new("/")), None);
    }
}
