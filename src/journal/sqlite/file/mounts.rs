//! Which files are mount points. The files that SQLite and the lock create beside such a file are beside the mount, not
//! beside the mounted file, so another mount of it, for instance in another container, does not see them.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

/// The mounts that this process sees. The file exists on Linux only.
const MOUNTS: &str = "/proc/self/mountinfo";

/// Whether a file is a mount point, by its absolute path without links.
pub(crate) fn is_mount_point(file: &Path) -> io::Result<bool> {
    match std::fs::read(MOUNTS) {
        Ok(mounts) => {
            Ok(mounts.split(|byte| *byte == b'\n').any(|line| mount_point(line).as_deref() == Some(file)))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(io::Error::new(error.kind(), format!("{MOUNTS}: {error}"))),
    }
}

/// The fifth field of a line, in which spaces and the like are written as octal numbers.
fn mount_point(line: &[u8]) -> Option<PathBuf> {
    let field = line.split(|byte| *byte == b' ').nth(4)?;
    let mut path = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((byte, after)) = rest.split_first() {
        let octal = after.get(..3).filter(|_| *byte == b'\\');
        let code = octal.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok());
        path.push(code.unwrap_or(*byte));
        rest = after.get(if code.is_some() { 3 } else { 0 }..)?;
    }
    Some(OsString::from_vec(path).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaped_mount_points_are_decoded() {
        let check = |line: &str, expected: Option<&str>| {
            assert_eq!(mount_point(line.as_bytes()), expected.map(PathBuf::from), "{line}");
        };
        check("36 35 98:0 /mnt1 /data/chat.db rw,noatime master:1 - ext3 /dev/root rw", Some("/data/chat.db"));
        check("36 35 98:0 / /a\\040b\\134c\\011 rw - tmpfs tmpfs rw", Some("/a b\\c\t"));
        check("36 35 98:0 / /a\\9 rw", Some("/a\\9"));
        check("36 35 98:0 / /a\\", Some("/a\\"));
        check("", None);
    }

    #[test]
    fn the_root_is_a_mount_point_and_a_new_file_is_not() {
        let folder = tempfile::tempdir().unwrap();
        assert!(is_mount_point(Path::new("/")).unwrap());
        assert!(!is_mount_point(&folder.path().canonicalize().unwrap().join("j.db")).unwrap());
    }
}
