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
    let clients = match bucket.cloud {
        #[cfg(feature = "aws")]
        Cloud::Aws => aws(object_store::aws::AmazonS3Builder::from_env().with_bucket_name(&bucket.bucket)),
        #[cfg(feature = "gcp")]
        Cloud::Gcp => {
            gcp(object_store::gcp::GoogleCloudStorageBuilder::from_env().with_bucket_name(&bucket.bucket))
        }
        #[cfg(feature = "azure")]
        Cloud::Azure => {
            azure(object_store::azure::MicrosoftAzureBuilder::from_env().with_container_name(&bucket.bucket))
        }
        #[cfg(not(all(feature = "aws", feature = "gcp", feature = "azure")))]
        _ => return Err(bucket.feature_off()),
    };
    let clients = clients.map_err(|error| OpenError::Configuration {
        url: bucket.url.clone(),
        reason: error.to_string(),
        variables: variables(bucket.cloud),
    })?;
    let root = Path::from_url_path(&bucket.root)
        .map_err(|error| OpenError::Malformed { url: bucket.url.clone(), reason: error.to_string() })?;
    Ok(clients.into_store().below(root))
}

struct Clients {
    objects: Arc<dyn ObjectStore>,
    creator: Arc<dyn ObjectStore>,
}

impl Clients {
    fn into_store(self) -> ObjectSnapshotStore {
        ObjectSnapshotStore::new(self.objects).creating_through(self.creator)
    }
}

fn no_retry() -> RetryConfig {
    RetryConfig { max_retries: 0, ..RetryConfig::default() }
}

/// Each vendor's builder is a type of its own with the same methods.
macro_rules! clients {
    ($builder:expr) => {{
        let builder = $builder;
        let objects = builder.clone().build()?;
        let creator =
            builder.with_credentials(Arc::clone(objects.credentials())).with_retry(no_retry()).build()?;
        Ok(Clients { objects: Arc::new(objects), creator: Arc::new(creator) })
    }};
}

#[cfg(feature = "aws")]
fn aws(builder: object_store::aws::AmazonS3Builder) -> object_store::Result<Clients> {
    clients!(builder)
}

#[cfg(feature = "gcp")]
fn gcp(builder: object_store::gcp::GoogleCloudStorageBuilder) -> object_store::Result<Clients> {
    clients!(builder)
}

#[cfg(feature = "azure")]
fn azure(builder: object_store::azure::MicrosoftAzureBuilder) -> object_store::Result<Clients> {
    clients!(builder)
}

/// The environment variables that a vendor's client needs most; it reads others too.
fn variables(cloud: Cloud) -> &'static str {
    match cloud {
        Cloud::Aws => {
            "`AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_REGION` and, for another vendor's store, `AWS_ENDPOINT`"
        }
        Cloud::Gcp => "`GOOGLE_APPLICATION_CREDENTIALS` or `GOOGLE_SERVICE_ACCOUNT`",
        Cloud::Azure => "`AZURE_STORAGE_ACCOUNT_NAME` and `AZURE_STORAGE_ACCOUNT_KEY`",
    }
}

#[cfg(feature = "aws")]
#[cfg(test)]
mod tests;
