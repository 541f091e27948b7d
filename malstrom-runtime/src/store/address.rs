//! From a URL to what it names. A pure function: nothing is opened here.

use std::path::PathBuf;

use url::Url;

use super::OpenError;

/// What a URL names.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Address {
    /// A new store in memory.
    Memory,
    /// A folder of the local disk.
    Folder(PathBuf),
    /// A path in a bucket of a cloud store.
    Cloud(Bucket),
}

/// A path in a bucket.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Bucket {
    pub(super) url: String,
    pub(super) cloud: Cloud,
    pub(super) bucket: String,
    /// Below the bucket, percent-encoded as in the URL, without slashes at either end.
    pub(super) root: String,
}

#[cfg(not(all(feature = "aws", feature = "gcp", feature = "azure")))]
impl Bucket {
    pub(super) fn feature_off(&self) -> OpenError {
        let feature = match self.cloud {
            Cloud::Aws => "aws",
            Cloud::Gcp => "gcp",
            Cloud::Azure => "azure",
        };
        OpenError::FeatureOff { url: self.url.clone(), feature }
    }
}

/// Whose cloud store it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cloud {
    Aws,
    Gcp,
    Azure,
}

pub(super) fn parse(url: &str) -> Result<Address, OpenError> {
    if url.is_empty() {
        return Err(OpenError::Empty);
    }
    let Some((scheme, rest)) = split_scheme(url) else {
        return Ok(Address::Folder(PathBuf::from(url)));
    };
    match scheme {
        "memory" if matches!(rest, "" | "//") => Ok(Address::Memory),
        "memory" => Err(malformed(url, "has a path, and a store in memory has none: use `memory:`")),
        "file" => folder(url),
        "s3" => bucket(url, Cloud::Aws),
        "gs" => bucket(url, Cloud::Gcp),
        "az" => bucket(url, Cloud::Azure),
        unknown => Err(OpenError::UnknownScheme { url: url.into(), scheme: unknown.into() }),
    }
}

/// What stands before the colon, if that is a scheme: known, or followed by `//`. Else the colon is part of a file
/// name, as in `runs/12:30` or `C:\jobs`.
fn split_scheme(url: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = url.split_once(':')?;
    let is_known = matches!(scheme, "memory" | "file" | "s3" | "gs" | "az");
    let is_url = rest.starts_with("//") && !scheme.contains('/') && !scheme.is_empty();
    (is_known || is_url).then_some((scheme, rest))
}

fn folder(url: &str) -> Result<Address, OpenError> {
    let hint = "is not the URL of a local folder: write `file:///absolute/path`, with %20 for a space, %23 for `#` and \
                %3F for `?`, or give a plain path";
    let parsed = parse_plain(url, hint)?;
    // `file:folder` is read as `/folder`, which nobody means who writes it.
    if !url.starts_with("file:/") {
        return Err(malformed(url, hint));
    }
    parsed.to_file_path().map(Address::Folder).map_err(|()| malformed(url, hint))
}

fn bucket(url: &str, cloud: Cloud) -> Result<Address, OpenError> {
    let hint = match cloud {
        Cloud::Aws => "is not the URL of a bucket: write `s3://bucket/path`",
        Cloud::Gcp => "is not the URL of a bucket: write `gs://bucket/path`",
        Cloud::Azure => "is not the URL of a container: write `az://container/path`",
    };
    let parsed = parse_plain(url, hint)?;
    let bucket = parsed.host_str().filter(|host| !host.is_empty()).ok_or_else(|| malformed(url, hint))?;
    if !parsed.username().is_empty() || parsed.password().is_some() || parsed.port().is_some() {
        return Err(malformed(url, hint));
    }
    let root = parsed.path().trim_matches('/').to_owned();
    Ok(Address::Cloud(Bucket { url: url.into(), cloud, bucket: bucket.into(), root }))
}

fn parse_plain(url: &str, hint: &str) -> Result<Url, OpenError> {
    let parsed = Url::parse(url).map_err(|_| malformed(url, hint))?;
    if parsed.query().is_some() || parsed.fragment().is_some() {
        return Err(malformed(url, hint));
    }
    Ok(parsed)
}

fn malformed(url: &str, reason: &str) -> OpenError {
    OpenError::Malformed { url: url.into(), reason: reason.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder_of(url: &str) -> PathBuf {
        match parse(url) {
            Ok(Address::Folder(folder)) => folder,
            other => panic!("{url} is {other:?}"),
        }
    }

    fn error_of(url: &str) -> String {
        parse(url).unwrap_err().to_string()
    }

    #[test]
    fn memory_is_written_with_or_without_slashes() {
        assert_eq!(parse("memory:").unwrap(), Address::Memory);
        assert_eq!(parse("memory://").unwrap(), Address::Memory);
        assert!(error_of("memory://name").contains("use `memory:`"));
    }

    #[test]
    fn what_has_no_scheme_is_a_path() {
        for path in ["jobs", "./jobs", "../jobs", "/var/jobs", "runs/12:30", "C:\\jobs", "a b#c"] {
            assert_eq!(folder_of(path), PathBuf::from(path));
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_file_url_is_decoded() {
        assert_eq!(folder_of("file:///var/my%20jobs"), PathBuf::from("/var/my jobs"));
    }

    #[test]
    fn a_file_url_that_could_be_misread_is_refused() {
        for url in ["file://host/path", "file:jobs", "file:///a#b", "file:///a?b"] {
            assert!(error_of(url).contains("file:///absolute/path"), "{url}");
        }
    }

    #[test]
    fn a_bucket_has_a_root() {
        let Ok(Address::Cloud(bucket)) = parse("s3://Bucket_1/jobs/word%20count/") else { panic!() };
        assert_eq!((bucket.bucket.as_str(), bucket.root.as_str()), ("Bucket_1", "jobs/word%20count"));
    }

    #[test]
    fn a_bucket_without_a_name_or_with_extras_is_refused() {
        for url in ["s3:bucket", "s3://", "gs:///path", "az://user@container/path", "s3://bucket/path?x=1"] {
            assert!(error_of(url).contains("is not the URL of"), "{url}");
        }
    }

    #[test]
    fn an_unknown_scheme_is_told_the_known_ones() {
        let message = error_of("ftp://host/path");
        for word in ["`ftp`", "memory:", "file:", "s3:", "gs:", "az:"] {
            assert!(message.contains(word), "{message}");
        }
    }

    #[test]
    fn nothing_is_no_store() {
        assert!(error_of("").contains("empty"));
    }
}
