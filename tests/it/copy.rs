//! A copy of the recorded cluster that a test may change: objects, and lines of logs.

use std::path::Path;

use serde_json::Value;
use whodunit::demo::Recording;

/// The recording in a folder of its own.
pub struct Copy {
    folder: tempfile::TempDir,
}

impl Copy {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let recorded = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/recording");
        copy(&recorded, folder.path());
        Self { folder }
    }

    pub fn edit(&self, file: &str, edit: impl FnOnce(&mut Value)) {
        let path = self.folder.path().join("kubernetes").join(file);
        let mut json = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        edit(&mut json);
        std::fs::write(&path, json.to_string()).unwrap();
    }

    /// A file that was not recorded, as the answer to a path.
    pub fn add(&self, file: &str, path: &str, content: &str) {
        let target = self.folder.path().join("kubernetes").join(file);
        std::fs::create_dir_all(target.parent().unwrap()).unwrap();
        std::fs::write(target, content).unwrap();
        let entry = serde_json::json!({"file": file, "path": path, "status": 200,
                                       "content_type": "application/json"});
        self.edit("index.json", |index| index.as_array_mut().unwrap().push(entry));
    }

    /// A container's log that was not recorded.
    pub fn add_log(&self, namespace: &str, log: &str, content: &str) {
        let path = format!("/api/v1/namespaces/{namespace}/pods/{log}/log");
        self.add(&format!("{namespace}/logs/{log}.log"), &path, content);
    }

    pub fn recording(&self) -> Recording {
        Recording::open(self.folder.path()).unwrap()
    }

    /// Puts lines before the last one of a log, at its time.
    pub fn log(&self, file: &str, lines: &[String]) {
        let path = self.folder.path().join("kubernetes").join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        let (first, last) = text.trim_end().rsplit_once('\n').unwrap();
        let stamp = last.split(' ').next().unwrap();
        let lines: String = lines.iter().map(|line| format!("{stamp} {line}\n")).collect();
        std::fs::write(&path, format!("{first}\n{lines}{last}\n")).unwrap();
    }
}

/// A whole folder.
pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// The objects of a list whose name begins so.
pub fn items<'a>(list: &'a mut Value, prefix: &'a str) -> impl Iterator<Item = &'a mut Value> {
    let items = list["items"].as_array_mut().unwrap().iter_mut();
    items.filter(move |item| item["metadata"]["name"].as_str().unwrap().starts_with(prefix))
}
