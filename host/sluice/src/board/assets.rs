//! The page's files, which are built from `board/` and compiled in; their names carry their content's hash.

use std::sync::LazyLock;

use axum::body::Body;
use axum::extract::Path;
use axum::http::header::{ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, VARY};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use sha2::{Digest, Sha256};

use crate::admin::answers::refusal;

/// Digits of a hash in a name.
const DIGITS: usize = 16;

/// A file of the page.
struct Asset {
    name: String,
    of: &'static str,
    /// The file's forms by their encodings, the best first; the last is the file itself.
    forms: Vec<(Option<&'static str>, &'static [u8])>,
}

macro_rules! file {
    ($($name:literal),+) => {
        include_bytes!(concat!("assets/", $($name),+)).as_slice()
    };
}

macro_rules! forms {
    ($name:literal) => {
        vec![(Some("br"), file!($name, ".br")), (Some("gzip"), file!($name, ".gz")), (None, file!($name))]
    };
}

static ASSETS: LazyLock<Assets> = LazyLock::new(|| {
    let hashed = |name: &str, ending: &str, of, forms: Vec<(Option<&'static str>, &'static [u8])>| {
        let bytes = forms.last().map_or(&[][..], |(_, bytes)| bytes);
        let hash: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        Asset { name: format!("{name}.{}.{ending}", &hash[..DIGITS]), of, forms }
    };
    Assets {
        script: hashed("board", "js", "text/javascript; charset=utf-8", forms!("board.js")),
        style: hashed("board", "css", "text/css; charset=utf-8", forms!("board.css")),
        icon: hashed("icon", "svg", "image/svg+xml", vec![(None, file!("icon.svg"))]),
        licences: Asset {
            name: "LICENSES.txt".to_owned(),
            of: "text/plain; charset=utf-8",
            forms: vec![(None, file!("LICENSES.txt"))],
        },
    }
});

struct Assets {
    script: Asset,
    style: Asset,
    icon: Asset,
    licences: Asset,
}

/// The lines of a page's head that name its files.
pub fn head() -> String {
    let Assets { script, style, icon, .. } = &*ASSETS;
    format!(
        "<link rel=\"icon\" href=\"/assets/{}\">\n<link rel=\"stylesheet\" href=\"/assets/{}\">\n<script src=\"/assets/{}\" defer></script>",
        icon.name, style.name, script.name
    )
}

/// Answers a file in the best form that the client takes.
pub async fn get(Path(name): Path<String>, headers: HeaderMap) -> Response {
    let Assets { script, style, icon, licences } = &*ASSETS;
    let Some(asset) = [script, style, icon, licences].into_iter().find(|asset| asset.name == name) else {
        return refusal(StatusCode::NOT_FOUND, "there is no such file: load the page again");
    };
    let takes = headers.get(ACCEPT_ENCODING).and_then(|takes| takes.to_str().ok()).unwrap_or_default();
    let (encoding, bytes) = asset
        .forms
        .iter()
        .find(|(encoding, _)| encoding.is_none_or(|encoding| accepts(takes, encoding)))
        .copied()
        .unwrap_or((None, &[]));
    let mut response = Response::new(Body::from(bytes));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(asset.of));
    headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
    if let Some(encoding) = encoding {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
    let hashed = asset.name != licences.name;
    let kept = if hashed { "public, max-age=31536000, immutable" } else { "no-cache" };
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(kept));
    response
}

/// Says whether the header's list has the encoding, and doesn't rule it out.
fn accepts(list: &str, encoding: &str) -> bool {
    list.split(',').any(|part| {
        let (name, weight) = part.split_once(';').unwrap_or((part, ""));
        let refused = weight.trim().strip_prefix("q=").and_then(|weight| weight.parse::<f32>().ok()) == Some(0.0);
        name.trim().eq_ignore_ascii_case(encoding) && !refused
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_encoding_is_taken_only_where_it_is_asked_for() {
        assert!(accepts("gzip, deflate, br", "br") && accepts("BR;q=0.5", "br"));
        assert!(
            !accepts("gzip", "br") && !accepts("br;q=0, gzip", "br") && !accepts("", "gzip") && !accepts("brx", "br")
        );
    }
}
