//! The recorded answers of a cluster and its backends, as files in memory. Comes in: the archive that
//! `build.rs` embedded, or a folder of the same layout. It never writes, and never looks outside that folder.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::Path;
use std::sync::OnceLock;

use anyhow::{Context, Result, ensure};

/// A recording beyond this is refused, in bytes: it is held in memory as a whole.
const MAX_BYTES: usize = 64 * 1024 * 1024;

static ARCHIVE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/recording.tar.gz"));
static EMBEDDED: OnceLock<Recording> = OnceLock::new();

/// Files by their path relative to the recording, with `/` between the parts.
#[derive(Debug, Clone, Default)]
pub struct Recording {
    files: BTreeMap<String, Vec<u8>>,
}

impl Recording {
    /// The recording inside this program, unpacked once.
    pub fn embedded() -> Result<&'static Self> {
        if let Some(recording) = EMBEDDED.get() {
            return Ok(recording);
        }
        let unpacked = Self::unpack(ARCHIVE).context("unpacking the embedded recording")?;
        Ok(EMBEDDED.get_or_init(|| unpacked))
    }

    /// A folder with the same layout: `kubernetes/index.json`, `prometheus/`, `loki/`, `tempo/`, …
    pub fn open(folder: &Path) -> Result<Self> {
        let mut recording = Self::default();
        let mut size = 0;
        let mut waiting = vec![folder.to_path_buf()];
        while let Some(at) = waiting.pop() {
            for entry in fs::read_dir(&at).with_context(|| format!("reading {}", at.display()))? {
                let entry = entry?;
                let path = entry.path();
                let kind = entry.file_type()?;
                if kind.is_dir() {
                    waiting.push(path);
                } else if kind.is_file() {
                    let content = fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
                    let name = path.strip_prefix(folder)?.to_string_lossy().replace('\\', "/");
                    recording.add(name, content, &mut size)?;
                }
            }
        }
        ensure!(!recording.files.is_empty(), "{} holds no recording", folder.display());
        Ok(recording)
    }

    fn unpack(archive: &[u8]) -> Result<Self> {
        let mut recording = Self::default();
        let mut size = 0;
        let mut tar = tar::Archive::new(flate2::read::GzDecoder::new(archive));
        for entry in tar.entries()? {
            let mut entry = entry?;
            let name = entry.path()?.to_string_lossy().into_owned();
            let mut content = Vec::new();
            entry.read_to_end(&mut content)?;
            recording.add(name, content, &mut size)?;
        }
        Ok(recording)
    }

    fn add(&mut self, name: String, content: Vec<u8>, size: &mut usize) -> Result<()> {
        *size += content.len();
        ensure!(*size <= MAX_BYTES, "the recording is larger than {MAX_BYTES} bytes");
        self.files.insert(name, content);
        Ok(())
    }

    pub fn file(&self, path: &str) -> Option<&[u8]> {
        self.files.get(path).map(Vec::as_slice)
    }

    /// A file that must be there, as JSON.
    pub fn json(&self, path: &str) -> Result<serde_json::Value> {
        let content = self.file(path).with_context(|| format!("the recording has no {path}"))?;
        serde_json::from_slice(content).with_context(|| format!("reading {path} of the recording"))
    }

    /// Files under a folder (`"loki/"`), by name.
    pub fn under<'a>(&'a self, folder: &'a str) -> impl Iterator<Item = (&'a str, &'a [u8])> {
        self.files
            .range(folder.to_owned()..)
            .take_while(move |(name, _)| name.starts_with(folder))
            .map(|(name, content)| (name.as_str(), content.as_slice()))
    }

    pub fn len(&self) -> usize {
        self.files.len()
    }

    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_recording_is_the_folder_file_by_file() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/recording");
        let opened = Recording::open(&folder).unwrap();
        let embedded = Recording::embedded().unwrap();
        assert!(embedded.len() > 300, "{} files", embedded.len());
        assert_eq!(embedded.files, opened.files);
    }

    #[test]
    fn a_folder_is_listed_without_its_neighbours() {
        let recording = Recording::embedded().unwrap();
        let webhooks: Vec<&str> = recording
            .under("alertmanager/webhooks/")
            .filter_map(|(name, _)| name.ends_with(".json").then_some(name))
            .collect();
        assert_eq!(webhooks.len(), 21);
        assert!(webhooks.is_sorted());
        assert!(recording.under("loki/").all(|(name, _)| name.starts_with("loki/")));
    }

    #[test]
    fn an_empty_or_missing_folder_is_an_error() {
        let empty = tempfile::tempdir().unwrap();
        assert!(Recording::open(empty.path()).is_err());
        assert!(Recording::open(&empty.path().join("nowhere")).is_err());
    }
}
