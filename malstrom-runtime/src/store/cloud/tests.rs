//! How a conditional put ends when the store's answers are less than clear, against a server that plays them.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};

use malstrom_core::ports::{SnapshotStore, StoreError};
use object_store::aws::AmazonS3Builder;

use super::aws;

const UNAVAILABLE: &str = "503 Service Unavailable";
const CONFLICT: &str = "409 Conflict";
const PRECONDITION_FAILED: &str = "412 Precondition Failed";
const NOT_FOUND: &str = "404 Not Found";
const OK: &str = "200 OK\r\nLast-Modified: Wed, 21 Oct 2015 07:28:00 GMT\r\nETag: \"1\"";

/// If the client repeated the put, it would be told 412 because of its own object.
#[test]
fn a_put_whose_answer_was_lost_is_not_taken_for_another_ones() {
    let (result, requests) = put_new_answered_by(&[UNAVAILABLE, PRECONDITION_FAILED, OK]);
    assert!(matches!(result, Err(StoreError::Failed { .. })), "{result:?}");
    assert_eq!(requests, ["PUT"]);
}

/// S3 says 409 when something else was under way for the same key; nothing need have come of it.
#[test]
fn a_conflict_over_nothing_is_no_object() {
    let (result, requests) = put_new_answered_by(&[CONFLICT, NOT_FOUND]);
    assert!(matches!(result, Err(StoreError::Failed { .. })), "{result:?}");
    assert_eq!(requests, ["PUT", "HEAD"]);
}

#[test]
fn an_object_that_is_there_exists() {
    let (result, requests) = put_new_answered_by(&[PRECONDITION_FAILED, OK]);
    assert!(matches!(result, Err(StoreError::Exists { .. })), "{result:?}");
    assert_eq!(requests, ["PUT", "HEAD"]);
}

fn put_new_answered_by(answers: &'static [&'static str]) -> (Result<(), StoreError>, Vec<String>) {
    let (endpoint, requests) = serve(answers);
    let builder = AmazonS3Builder::new()
        .with_bucket_name("bucket")
        .with_endpoint(endpoint)
        .with_allow_http(true)
        .with_access_key_id("id")
        .with_secret_access_key("secret");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let result = runtime.block_on(async {
        let store = aws(builder).unwrap().into_store();
        store.put_new("log/1", b"claim".to_vec()).await
    });
    (result, requests.try_iter().collect())
}

/// Answers one request a connection, and tells the method of each.
fn serve(answers: &'static [&'static str]) -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let (tell, requests) = channel();
    std::thread::spawn(move || {
        for answer in answers {
            let mut connection = BufReader::new(listener.accept().unwrap().0);
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                assert_ne!(connection.read_line(&mut head).unwrap(), 0, "the request ended early");
            }
            let lower = head.to_lowercase();
            let length = lower.lines().find_map(|line| line.strip_prefix("content-length:"));
            let mut body = vec![0; length.map_or(0, |length| length.trim().parse().unwrap())];
            connection.read_exact(&mut body).unwrap();
            // The receiver is gone when the test has ended.
            let _ = tell.send(head.split(' ').next().unwrap().to_owned());
            let answer = format!("HTTP/1.1 {answer}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            connection.get_mut().write_all(answer.as_bytes()).unwrap();
        }
    });
    (endpoint, requests)
}
