//! Clients for cloud stores, configured as the vendors' own tools are.

use std::sync::Arc;

use object_store::path::Path;
use object_store::{ObjectStore, RetryConfig};

use super::OpenError;
use super::address::{Bucket, Cloud};
use super::objects::ObjectSnapshotStore;

/// Two clients on one bucket: one that repeats what failed, and one that does not, for creating objects. Both share
/// their credentials, so that fetching those is repeated for either.
pub(super) fn open(bucket: &Bucket) -> Result<ObjectSnapshotStore, OpenError> {
    let Clients { objects, creator } = match bucket.cloud {
        #[cfg(feature = "aws")]
        Cloud::Aws => aws(bucket)?,
        #[cfg(feature = "gcp")]
        Cloud::Gcp => gcp(bucket)?,
        #[cfg(feature = "azure")]
        Cloud::Azure => azure(bucket)?,
        #[cfg(not(all(feature = "aws", feature = "gcp", feature = "azure")))]
        _ => return Err(bucket.feature_off()),
    };
    let root = Path::from_url_path(&bucket.root)
        .map_err(|error| OpenError::Malformed { url: bucket.url.clone(), reason: error.to_string() })?;
    Ok(ObjectSnapshotStore::new(objects).creating_through(creator).below(root))
}

struct Clients {
    objects: Arc<dyn ObjectStore>,
    creator: Arc<dyn ObjectStore>,
}

fn no_retry() -> RetryConfig {
    RetryConfig { max_retries: 0, ..RetryConfig::default() }
}

fn refused(bucket: &Bucket, variables: &'static str) -> impl Fn(object_store::Error) -> OpenError {
    let url = bucket.url.clone();
    move |error| OpenError::Configuration { url: url.clone(), reason: error.to_string(), variables }
}

#[cfg(feature = "aws")]
fn aws(bucket: &Bucket) -> Result<Clients, OpenError> {
    let refused = refused(
        bucket,
        "`AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_REGION` and, for a store of another vendor, `AWS_ENDPOINT`",
    );
    let builder = object_store::aws::AmazonS3Builder::from_env().with_bucket_name(&bucket.bucket);
    let objects = builder.clone().build().map_err(&refused)?;
    let builder = builder.with_credentials(Arc::clone(objects.credentials())).with_retry(no_retry());
    let creator = builder.build().map_err(&refused)?;
    Ok(Clients { objects: Arc::new(objects), creator: Arc::new(creator) })
}

#[cfg(feature = "gcp")]
fn gcp(bucket: &Bucket) -> Result<Clients, OpenError> {
    let refused = refused(bucket, "`GOOGLE_APPLICATION_CREDENTIALS` or `GOOGLE_SERVICE_ACCOUNT`");
    let builder = object_store::gcp::GoogleCloudStorageBuilder::from_env().with_bucket_name(&bucket.bucket);
    let objects = builder.clone().build().map_err(&refused)?;
    let builder = builder.with_credentials(Arc::clone(objects.credentials())).with_retry(no_retry());
    let creator = builder.build().map_err(&refused)?;
    Ok(Clients { objects: Arc::new(objects), creator: Arc::new(creator) })
}

#[cfg(feature = "azure")]
fn azure(bucket: &Bucket) -> Result<Clients, OpenError> {
    let refused = refused(bucket, "`AZURE_STORAGE_ACCOUNT_NAME` and `AZURE_STORAGE_ACCOUNT_KEY`");
    let builder = object_store::azure::MicrosoftAzureBuilder::from_env().with_container_name(&bucket.bucket);
    let objects = builder.clone().build().map_err(&refused)?;
    let builder = builder.with_credentials(Arc::clone(objects.credentials())).with_retry(no_retry());
    let creator = builder.build().map_err(&refused)?;
    Ok(Clients { objects: Arc::new(objects), creator: Arc::new(creator) })
}
