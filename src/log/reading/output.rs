//! A file that is written from logs must not become one of them.

use std::fs::{self, File, Metadata};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::input::{STANDARD_INPUT, is_log_name, logs_in};

/// Why a file must not be written.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the message says what each field is")]
pub enum OutputError {
    /// It would overwrite a log.
    #[error("{} is one of the logs", path.display())]
    IsLog { path: PathBuf },
    /// It would be read as a log the next time.
    #[error("{} would be read as a log of the folder {}", path.display(), folder.display())]
    InFolder { path: PathBuf, folder: PathBuf },
}

/// Checks that a file can be written without changing what is read from these paths, as [`inspect`](super::inspect)
/// takes them. A path that cannot be read is not reported here.
pub fn check_output(path: &Path, inputs: &[PathBuf]) -> Result<(), OutputError> {
    match fs::metadata(path) {
        Ok(output) if output.is_file() && inputs.iter().any(|input| overwrites(&output, input)) => {
            Err(OutputError::IsLog { path: path.to_owned() })
        }
        // It exists and is not a log, or it is a pipe or a device, which is not overwritten.
        Ok(_) => Ok(()),
        Err(_) => match inputs.iter().find(|input| adds_log(path, input)) {
            Some(folder) => Err(OutputError::InFolder { path: path.to_owned(), folder: folder.clone() }),
            None => Ok(()),
        },
    }
}

/// Whether an output is the file that an input names, or one of the logs in the folder that it names.
fn overwrites(output: &Metadata, input: &Path) -> bool {
    let file = if input.as_os_str() == STANDARD_INPUT { standard_input() } else { fs::metadata(input) };
    match file {
        Ok(folder) if folder.is_dir() => {
            logs_in(input).is_ok_and(|logs| logs.iter().any(|(_, log)| is_same(log, output)))
        }
        Ok(file) => is_same(&file, output),
        Err(_) => false,
    }
}

/// Whether a new file would be one of the logs in the folder that an input names.
fn adds_log(output: &Path, input: &Path) -> bool {
    let folder = match output.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    output.file_name().is_some_and(is_log_name)
        && input.as_os_str() != STANDARD_INPUT
        && matches!((fs::metadata(folder), fs::metadata(input)), (Ok(folder), Ok(input)) if is_same(&folder, &input))
}

fn standard_input() -> io::Result<Metadata> {
    File::from(io::stdin().as_fd().try_clone_to_owned()?).metadata()
}

/// Whether two names, links included, are of one file.
fn is_same(one: &Metadata, other: &Metadata) -> bool {
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn an_output_is_not_one_of_the_logs_c11() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in ["server.jsonl", "client-a.jsonl.1", "run.svg"] {
            fs::write(at(name), "").unwrap();
        }
        symlink(at("server.jsonl"), at("link.svg")).unwrap();
        fs::create_dir(at("sub")).unwrap();
        let (whole, one) = ([folder.path().to_owned()], [at("server.jsonl"), at("missing.jsonl")]);
        let check = |name: &str, inputs: &[PathBuf]| check_output(&at(name), inputs);
        for name in ["server.jsonl", "sub/../server.jsonl", "link.svg"] {
            for inputs in [&whole[..], &one] {
                assert!(matches!(check(name, inputs), Err(OutputError::IsLog { .. })), "{name} {inputs:?}");
            }
        }
        assert!(matches!(check("client-a.jsonl.1", &whole), Err(OutputError::IsLog { .. })));
        for name in ["new.jsonl", "new.jsonl.gz", "sub/../new.jsonl"] {
            assert!(matches!(check(name, &whole), Err(OutputError::InFolder { .. })), "{name}");
        }
        for name in ["client-a.jsonl.1", "new.jsonl", "run.svg", "sub"] {
            assert!(check(name, &one).is_ok(), "{name}");
        }
        for name in ["run.svg", "new.svg", "sub", "sub/new.jsonl", "none/new.jsonl", ".new.jsonl"] {
            assert!(check(name, &whole).is_ok(), "{name}");
        }
    }
}
