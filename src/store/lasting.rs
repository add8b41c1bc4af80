//! Folders that survive a power cut: a name is there for good only once its folder is synced.

use std::{
    fs::{self, File},
    io,
    path::Path,
};

/// Makes a folder and those above it that are not there, so that they survive a power cut.
///
/// # Errors
/// Those of the system; a part may be there then.
pub fn make_folder(path: &Path) -> io::Result<()> {
    let missing: Vec<&Path> = path.ancestors().take_while(|folder| !folder.exists()).collect();
    fs::create_dir_all(path)?;
    for made in missing {
        match made.parent() {
            // What has no parent, or one without a name, is in the folder that we are in.
            None => {}
            Some(parent) if parent.as_os_str().is_empty() => sync_folder(Path::new("."))?,
            Some(parent) => sync_folder(parent)?,
        }
    }
    Ok(())
}

/// Makes the names in a folder last.
///
/// # Errors
/// Those of the system.
pub fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// As [`sync_folder`], and in all folders below it.
///
/// # Errors
/// Those of the system.
pub fn sync_folders(path: &Path) -> io::Result<()> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sync_folders(&entry.path())?;
        }
    }
    sync_folder(path)
}
