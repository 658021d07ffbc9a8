//! The source of a log's bytes: a file, or standard input or a pipe, which are copied since a log is read more than
//! once.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::{self, File, Metadata};
use std::io::{self, Cursor, Read};
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::LogError;
use crate::terminal::notice;

/// The extension of a log. Rotation adds more after it.
pub(super) const EXTENSION: &str = ".jsonl";
/// The argument that stands for standard input.
pub(super) const STANDARD_INPUT: &str = "-";

/// Where the bytes are.
#[derive(Clone, Debug)]
enum Content {
    /// In the file that the path names.
    Named,
    /// A copy of a pipe's contents, in an unnamed file that disappears when the program ends.
    Copy(Arc<File>),
    /// In memory.
    Text(Arc<str>),
}

/// A log that was given.
#[derive(Clone, Debug)]
pub(super) struct Input {
    /// The path or name shown to the user.
    pub(super) path: PathBuf,
    content: Content,
    /// Whether it was found in a folder rather than named by the user.
    pub(super) is_found: bool,
}

impl Input {
    pub(super) fn file(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), content: Content::Named, is_found: false }
    }

    /// A text in memory.
    pub(super) fn text(name: &str, text: Arc<str>) -> Self {
        Self { path: name.into(), content: Content::Text(text), is_found: false }
    }

    fn copy_of(path: PathBuf, mut pipe: impl Read) -> Result<Self, LogError> {
        let copied = tempfile::tempfile().and_then(|mut file| io::copy(&mut pipe, &mut file).map(|_| file));
        match copied {
            Ok(file) => Ok(Self { path, content: Content::Copy(Arc::new(file)), is_found: false }),
            Err(source) => Err(LogError::Read { path, source }),
        }
    }

    /// Its bytes, from the beginning.
    pub(super) fn open(&self) -> io::Result<Box<dyn Read + Send>> {
        Ok(match &self.content {
            Content::Named => Box::new(File::open(&self.path)?),
            Content::Copy(copy) => Box::new(FromStart { file: Arc::clone(copy), at: 0 }),
            Content::Text(text) => Box::new(Cursor::new(Arc::<[u8]>::from(Arc::clone(text)))),
        })
    }

    /// How many bytes there are now.
    pub(super) fn bytes(&self) -> Result<u64, LogError> {
        let bytes = match &self.content {
            Content::Named => fs::metadata(&self.path).map(|file| file.len()),
            Content::Copy(copy) => copy.metadata().map(|file| file.len()),
            Content::Text(text) => Ok(text.len() as u64),
        };
        bytes.map_err(|source| LogError::Read { path: self.path.clone(), source })
    }
}

/// Reads a file that others read at the same time.
struct FromStart {
    file: Arc<File>,
    at: u64,
}

impl Read for FromStart {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

/// The logs that the paths name, each once, since a log always agrees with itself. Reports if one is given twice.
pub(super) fn inputs(paths: Vec<PathBuf>) -> Result<Vec<Input>, LogError> {
    let (mut inputs, mut known) = (Vec::new(), HashSet::new());
    let mut add = |input: Input, file: &Metadata| {
        if known.insert((file.dev(), file.ino())) {
            inputs.push(input);
        } else {
            notice(&format!("chitchat: {} was given twice, and is read once", input.path.display()));
        }
    };
    let mut has_standard_input = false;
    for path in paths {
        if path.as_os_str() == STANDARD_INPUT {
            if !std::mem::replace(&mut has_standard_input, true) {
                let input = Input::copy_of("standard input".into(), io::stdin().lock())?;
                if let Content::Copy(copy) = &input.content {
                    let metadata = copy.metadata();
                    let fault = |source| LogError::Read { path: input.path.clone(), source };
                    add(input.clone(), &metadata.map_err(fault)?);
                }
            }
            continue;
        }
        let file = metadata(&path)?;
        if file.is_dir() {
            for (path, file) in logs_in(&path)? {
                add(Input { is_found: true, ..Input::file(path) }, &file);
            }
        } else if file.is_file() {
            add(Input::file(path), &file);
        } else if file.file_type().is_fifo() {
            let pipe = File::open(&path).map_err(|source| LogError::Read { path: path.clone(), source })?;
            add(Input::copy_of(path, pipe)?, &file);
        } else {
            return Err(LogError::NoFile { path });
        }
    }
    Ok(inputs)
}

fn metadata(path: &Path) -> Result<Metadata, LogError> {
    fs::metadata(path).map_err(|source| LogError::Read { path: path.to_owned(), source })
}

/// Whether a file in a folder counts as a log, by its name.
pub(super) fn is_log_name(name: &OsStr) -> bool {
    name.to_str().is_some_and(|name| name.contains(EXTENSION) && !name.starts_with('.'))
}

/// The logs in a folder, sorted by name. Subfolders are not searched.
pub(super) fn logs_in(folder: &Path) -> Result<Vec<(PathBuf, Metadata)>, LogError> {
    let fault = |source| LogError::Read { path: folder.to_owned(), source };
    let mut logs = Vec::new();
    for entry in fs::read_dir(folder).map_err(fault)? {
        let entry = entry.map_err(fault)?;
        if !is_log_name(&entry.file_name()) {
            continue;
        }
        let file = metadata(&entry.path())?;
        if file.is_file() {
            logs.push((entry.path(), file));
        }
    }
    if logs.is_empty() {
        return Err(LogError::NoLogs { path: folder.to_owned() });
    }
    logs.sort_by(|(one, _), (other, _)| one.cmp(other));
    Ok(logs)
}
