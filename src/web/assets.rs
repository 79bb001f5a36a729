//! The style sheet, the script and the icon of all pages, in the binary. Each stands under a path that names its
//! content, so that browsers may keep it for ever; a path of another version is not found.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};

const FOR_EVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
/// Bytes of the hash in a name.
const HASH_BYTES: usize = 8;

pub(super) struct Asset {
    file: String,
    kind: &'static str,
    body: &'static str,
}

pub(super) static STYLE: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("pages", "css", "text/css; charset=utf-8", include_str!("assets/pages.css")));
pub(super) static SCRIPT: LazyLock<Asset> = LazyLock::new(|| {
    Asset::new("pages", "js", "text/javascript; charset=utf-8", include_str!("assets/pages.js"))
});
pub(super) static ICON: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("icon", "svg", "image/svg+xml", include_str!("assets/icon.svg")));

impl Asset {
    fn new(name: &str, extension: &str, kind: &'static str, body: &'static str) -> Self {
        let hash = Sha256::digest(body.as_bytes());
        let hash: String = hash.iter().take(HASH_BYTES).map(|byte| format!("{byte:02x}")).collect();
        Self { file: format!("{name}.{hash}.{extension}"), kind, body }
    }

    pub(super) fn path(&self) -> String {
        format!("/assets/{}", self.file)
    }
}

pub(super) async fn asset(Path(file): Path<String>) -> Response {
    let known = [&*STYLE, &*SCRIPT, &*ICON].into_iter().find(|asset| asset.file == file);
    match known {
        Some(asset) => {
            let kind = HeaderValue::from_static(asset.kind);
            ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, FOR_EVER)], asset.body).into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}
