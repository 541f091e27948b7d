//! # Enrichment with a slow service
//!
//! Every order names a customer, and what is known of customers lies behind a service: it takes some twenty
//! milliseconds, is busy now and then, and does not know everybody. `map_async` asks it for many orders at once while the
//! stream goes on, asks again when it is busy, and passes on what came to nothing as a stream of its own.
//!
//! Orders are keyed by customer, so those that wait for an answer are part of snapshots: a job that falls and recovers
//! asks again for them, and the stream has each order once.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use malstrom_core::operators::{Collected, from_iters};
use malstrom_runtime::prelude::*;

const N_ORDERS: u64 = 300;
const N_CUSTOMERS: u64 = 25;
const ANSWERED_AFTER: Duration = Duration::from_millis(20);
const CITIES: [&str; 3] = ["Berlin", "Lagos", "Quito"];

/// What the service says when it does not answer.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
enum Refusal {
    #[error("busy")]
    Busy,
    #[error("nobody knows this customer")]
    Unknown,
}

/// Stands for a service somewhere else: where customers live. It counts how often it is asked.
#[derive(Clone, Default)]
struct Customers {
    n_asked: Arc<AtomicU64>,
}

impl Customers {
    async fn city_of(self, customer: u64) -> Result<&'static str, Refusal> {
        let n_asked = self.n_asked.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(ANSWERED_AFTER).await;
        match customer {
            13 => Err(Refusal::Unknown),
            _ if n_asked % 7 == 3 => Err(Refusal::Busy),
            _ => Ok(CITIES[customer as usize % CITIES.len()]),
        }
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let customers = Customers::default();
    let (enriched, failed) = (Collected::new(), Collected::new());
    let (service, shown, shown_failed) = (customers.clone(), enriched.clone(), failed.clone());

    let job = MultiThread::builder()
        .job("enrich orders", move |job: &Job| {
            let service = service.clone();
            let options = AsyncOptions::new()
                .concurrency(64)
                .timeout(Duration::from_secs(1))
                .retries(5)
                .backoff(Duration::from_millis(5), Duration::from_millis(50));
            let (enriched, failed) = job
                .source("orders", from_iters(2, |p| (0..N_ORDERS).filter(move |order| order % 2 == p as u64)))
                .key_by(|order| order % N_CUSTOMERS)
                .map_async_with_failed("ask for the city", options, move |customer, order| {
                    let answer = service.clone().city_of(customer);
                    async move { answer.await.map(|city| (order, city)) }
                });
            enriched
                .map(|(_, (order, city))| (order, city.to_owned()))
                .transactional_sink("enriched", shown.sink());
            failed
                .map(|(customer, failed)| (failed.value, customer, failed.error.to_string()))
                .transactional_sink("failed", shown_failed.sink());
        })
        .workers(2)
        .build()?;
    let begun = Instant::now();
    job.run()?;
    let took = begun.elapsed();

    let (mut enriched, mut failed) = (enriched.take(), failed.take());
    enriched.sort();
    failed.sort();
    for (order, city) in enriched.iter().take(3) {
        println!("order {order}: to {city}");
    }
    for (order, customer, error) in failed.iter().take(3) {
        println!("order {order} of customer {customer}: {error}");
    }
    let n_asked = customers.n_asked.load(Ordering::Relaxed);
    println!(
        "{N_ORDERS} orders, {n_asked} requests of {ANSWERED_AFTER:?}: {took:.1?}; one after the other, {:.1?}",
        ANSWERED_AFTER * u32::try_from(n_asked)?
    );
    assert_eq!(enriched.len() + failed.len(), N_ORDERS as usize);
    assert!(failed.iter().all(|(order, customer, _)| (order % N_CUSTOMERS, *customer) == (13, 13)));
    assert_eq!(failed.len(), 12);
    Ok(())
}
