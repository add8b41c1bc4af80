//! The store's folder: a marker of our own beside the engine's, because with one of its files gone
//! the engine deletes the rest and opens empty without an error.
//!
//! The marker is written last when a store is made. Once it is there, so must be all that the
//! engine needs; where something is not, the store is refused before the engine can touch it.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::store::{
    StoreError,
    lasting::{make_folder, sync_folder, sync_folders},
};

use super::{table_file, version_file};

/// Says that this is a store and of which format. The meta row has the format too, and counts.
const MARKER: &str = "readstates-store";
const MARKER_TEXT: &str = "readstates embedded store, format 1\n";

/// The engine's own folder in ours, and its name until it is whole.
const ENGINE: &str = "fjall";
const UNFINISHED_ENGINE: &str = "fjall.new";
/// Its trees, each in a folder that is named by a number: 0 is its own, 1 is ours.
const TREES: &str = "keyspaces";
/// Without any of these, the engine takes its folder or a tree for unfinished and deletes it.
const NEEDED: [&str; 3] = ["version", "keyspaces/0/current", "keyspaces/1/current"];
/// How the names of its logs end. Without any, even an empty one, it counts its writes from 0 anew
/// and neither shows the rows of before nor puts later ones above them.
const LOG_ENDING: &str = "jnl";

/// The folder of one store.
#[derive(Clone, Debug)]
pub(super) struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Makes the folder where there is none, and checks it where there is.
    pub(super) fn prepare(path: &Path) -> Result<Self, StoreError> {
        let folder = Self { path: path.to_owned() };
        make_folder(path).map_err(io_error)?;
        if folder.has_marker()? {
            folder.check_marker()?;
            folder.check_needed()?;
        }
        folder.check_trees()?;
        Ok(folder)
    }

    /// Where the engine keeps its files.
    pub(super) fn engine(&self) -> PathBuf {
        self.path.join(ENGINE)
    }

    /// Where the engine's files are made.
    pub(super) fn unfinished_engine(&self) -> PathBuf {
        self.path.join(UNFINISHED_ENGINE)
    }

    pub(super) fn has_engine(&self) -> Result<bool, StoreError> {
        self.engine().try_exists().map_err(io_error)
    }

    pub(super) fn remove_engine(&self) -> Result<(), StoreError> {
        fs::remove_dir_all(self.engine()).map_err(io_error)
    }

    /// Removes what a creation that was cut off has left.
    pub(super) fn remove_unfinished_engine(&self) -> Result<(), StoreError> {
        match fs::remove_dir_all(self.unfinished_engine()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed.map_err(io_error),
        }
    }

    /// Moves what was made into its place. It survives a power cut.
    pub(super) fn put_engine(&self) -> Result<(), StoreError> {
        let put = || {
            sync_folders(&self.unfinished_engine())?;
            fs::rename(self.unfinished_engine(), self.engine())?;
            sync_folder(&self.path)
        };
        put().map_err(io_error)
    }

    /// Whether a store was made here, to its end.
    pub(super) fn has_marker(&self) -> Result<bool, StoreError> {
        self.path.join(MARKER).try_exists().map_err(io_error)
    }

    /// Says for good that a store was made here. It survives a power cut.
    pub(super) fn put_marker(&self) -> Result<(), StoreError> {
        let unfinished = self.path.join(MARKER).with_extension("new");
        let put = || {
            let mut file = File::create(&unfinished)?;
            file.write_all(MARKER_TEXT.as_bytes())?;
            file.sync_all()?;
            fs::rename(&unfinished, self.path.join(MARKER))?;
            sync_folder(&self.path)
        };
        put().map_err(io_error)
    }

    fn check_marker(&self) -> Result<(), StoreError> {
        let marker = self.path.join(MARKER);
        let text = fs::read_to_string(&marker).map_err(io_error)?;
        if text == MARKER_TEXT {
            return Ok(());
        }
        Err(StoreError::NewerFormat(format!(
            "{} says {:?}, and {:?} is the newest known here",
            marker.display(),
            text.trim_end(),
            MARKER_TEXT.trim_end()
        )))
    }

    fn check_needed(&self) -> Result<(), StoreError> {
        for needed in NEEDED {
            let file = self.engine().join(needed);
            if !file.try_exists().map_err(io_error)? {
                return Err(gone(&file));
            }
        }
        let is_log = |file: &fs::DirEntry| {
            Path::new(&file.file_name()).extension().is_some_and(|ending| ending == LOG_ENDING)
        };
        let mut files = fs::read_dir(self.engine()).map_err(io_error)?;
        if files.any(|file| file.is_ok_and(|file| is_log(&file))) {
            return Ok(());
        }
        Err(gone(&self.engine().join("*").with_extension(LOG_ENDING)))
    }

    /// The engine panics at a folder among its trees that is not named by a number, and believes
    /// a list of tables whatever its checksum says.
    fn check_trees(&self) -> Result<(), StoreError> {
        let trees = match fs::read_dir(self.engine().join(TREES)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            trees => trees.map_err(io_error)?,
        };
        for tree in trees {
            let tree = tree.map_err(io_error)?;
            let is_folder = tree.file_type().map_err(io_error)?.is_dir();
            let number = tree.file_name().to_str().and_then(|name| name.parse::<u64>().ok());
            if is_folder && number.is_none() {
                return Err(StoreError::Corrupt(
                    format!("{} is not of this store; move it away", tree.path().display()).into(),
                ));
            }
            if is_folder {
                version_file::check(&tree.path())?;
                table_file::check_all(&tree.path())?;
            }
        }
        Ok(())
    }
}

fn gone(file: &Path) -> StoreError {
    StoreError::Corrupt(
        format!(
            "{} is gone; put the data directory back from a backup, or move it away to start empty",
            file.display()
        )
        .into(),
    )
}

fn io_error(error: io::Error) -> StoreError {
    StoreError::Io(Arc::new(error))
}
