//! Packs the recorded cluster of `tests/fixtures/recording` into one compressed file, which `demo` embeds.
//! The same files give the same bytes: names are sorted, times and owners are zero.

use std::fs::{self, File};
use std::io::{Error, Result};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;

const RECORDING: &str = "tests/fixtures/recording";

fn main() -> Result<()> {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed={RECORDING}");
    let out = std::env::var_os("OUT_DIR").ok_or_else(|| Error::other("cargo sets OUT_DIR"))?;
    let mut files = Vec::new();
    collect(Path::new(RECORDING), &mut files)?;
    files.sort();
    let archive = File::create(PathBuf::from(out).join("recording.tar.gz"))?;
    let mut tar = tar::Builder::new(GzEncoder::new(archive, Compression::best()));
    for file in files {
        let content = fs::read(&file)?;
        let name = file.strip_prefix(RECORDING).map_err(Error::other)?;
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(0);
        tar.append_data(&mut header, name, content.as_slice())?;
    }
    tar.into_inner()?.finish()?;
    Ok(())
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let entries = fs::read_dir(folder)
        .map_err(|error| Error::new(error.kind(), format!("{}: {error}", folder.display())))?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}
