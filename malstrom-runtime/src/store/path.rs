//! Paths of objects: which are legal, and how they are spelt where not every character is.

use malstrom_core::ports::StoreError;
use object_store::path::{Path, PathPart};
use percent_encoding::percent_decode_str;

/// Refuses a path that some store would take for another one: an empty one, or one with an empty part, as in
/// `/log`, `log/` or `log//1`.
pub(super) fn check(action: &'static str, path: &str) -> Result<(), StoreError> {
    if path.split('/').any(str::is_empty) {
        let reason = "a path is made of names that are not empty, with `/` between them".into();
        return Err(StoreError::Failed { action, path: path.into(), reason });
    }
    Ok(())
}

/// The folder that a prefix names, without its closing slash; `None` for the whole store.
pub(super) fn folder(prefix: &str) -> Result<Option<&str>, StoreError> {
    if prefix.is_empty() {
        return Ok(None);
    }
    let folder = prefix.strip_suffix('/').unwrap_or(prefix);
    check("list", folder).map(|()| Some(folder))
}

/// The key of an object: every path has one of its own. What is unsafe in a key or a file name is percent-encoded, so
/// no path leaves the root, and none can be mistaken for a file that `object_store` stages a write in (`name#1`).
pub(super) fn encode(root: &Path, path: &str) -> Path {
    root.parts().chain(path.split('/').map(PathPart::from)).collect()
}

/// The path whose key this is; `None` for a key that [`encode`] does not make, because then it is none of ours.
pub(super) fn decode(root: &Path, key: &Path) -> Option<String> {
    let names: Vec<_> = key.prefix_match(root)?.collect();
    let names: Option<Vec<_>> =
        names.iter().map(|name| percent_decode_str(name.as_ref()).decode_utf8().ok()).collect();
    let path = names?.join("/");
    (!path.is_empty() && encode(root, &path) == *key).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_comes_back() {
        let root = Path::from("jobs/word count");
        for path in ["a", "log/1", "a b/c#1", "100%/ü/日本", "../x", "./y", "a\\b", "nul\0", "%2E", "#1"] {
            let key = encode(&root, path);
            assert!(key.as_ref().starts_with("jobs/word count/"), "{key}");
            assert_eq!(decode(&root, &key).as_deref(), Some(path));
        }
    }

    #[test]
    fn a_foreign_key_is_none_of_ours() {
        let root = Path::from("jobs");
        for key in ["other/a", "jobs", "jobs/a%zz", "jobs/~", "jobsbeside/a"] {
            assert_eq!(decode(&root, &Path::parse(key).unwrap()), None, "{key}");
        }
    }

    #[test]
    fn empty_names_are_refused() {
        for path in ["", "/", "/a", "a/", "a//b"] {
            assert!(check("put", path).is_err(), "{path:?}");
        }
        assert_eq!(folder("").unwrap(), None);
        assert_eq!(folder("log/").unwrap(), Some("log"));
        assert!(folder("/").is_err());
    }
}
