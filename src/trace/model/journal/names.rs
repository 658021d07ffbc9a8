//! Display names, to which events refer by a number, since there are far fewer names than events.

use foldhash::HashMap;

/// All names of a journal.
#[derive(Debug, Default)]
pub(super) struct Names {
    all: Vec<Box<str>>,
    index: HashMap<Box<str>, u32>,
}

impl Names {
    /// The number of a name.
    pub(super) fn intern(&mut self, name: &str) -> u32 {
        if let Some(index) = self.index.get(name) {
            return *index;
        }
        let index = self.all.len() as u32;
        self.all.push(name.into());
        self.index.insert(name.into(), index);
        index
    }

    /// The name with a number.
    pub(super) fn get(&self, index: u32) -> &str {
        self.all.get(index as usize).map_or("?", |name| name)
    }
}
