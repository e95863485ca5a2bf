//! Deliveries over raw sockets: whole ones, and such as break off.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::receiver::{Order, RESPOND_BY};
use crate::support::from_caspay;

/// How long the sender waits: longer than the receiver takes to say that it is not done yet.
const PATIENCE: Duration = RESPOND_BY.saturating_mul(2);

/// How a delivery goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    /// It is sent whole, and its answer awaited.
    Whole,
    /// It breaks off within the body.
    Half,
    /// It is sent whole, and the connection reset at once.
    Reset,
    /// It is sent whole, and the connection closed some time later.
    Leave(Duration),
}

/// Delivers, and says what the answer was; `None` without one.
pub(super) async fn deliver(port: u16, id: &str, order: Order, manner: Manner) -> Option<u16> {
    timeout(PATIENCE, exchange(port, id, order, manner)).await.ok().flatten()
}

async fn exchange(port: u16, id: &str, order: Order, manner: Manner) -> Option<u16> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
    let (head, body) = request(id, order);
    // In two parts, as it may well come.
    stream.write_all(&head).await.ok()?;
    let half = body.len() / 2;
    stream.write_all(&body[..half]).await.ok()?;
    if manner == Manner::Half {
        return None;
    }
    stream.write_all(&body[half..]).await.ok()?;
    match manner {
        Manner::Reset => {
            stream.set_zero_linger().ok()?;
            None
        }
        Manner::Leave(after) => {
            sleep(after).await;
            None
        }
        Manner::Whole | Manner::Half => {
            let mut head = [0; 12];
            stream.read_exact(&mut head).await.ok()?;
            let status = std::str::from_utf8(&head).unwrap().strip_prefix("HTTP/1.1 ").unwrap();
            // The rest is of no interest, and leaves no port waiting.
            stream.set_zero_linger().ok()?;
            Some(status.parse().unwrap())
        }
    }
}

fn request(id: &str, order: Order) -> (Vec<u8>, Vec<u8>) {
    use std::fmt::Write as _;

    let order = serde_json::to_string(&order).unwrap();
    let body =
        format!(r#"{{"id":"{id}","type":"payment.completed","created":1,"data":{{"order":{order}}}}}"#);
    let mut head = format!("POST / HTTP/1.1\r\nhost: test\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in from_caspay(body.clone()).headers() {
        write!(head, "{name}: {}\r\n", value.to_str().unwrap()).unwrap();
    }
    head.push_str("\r\n");
    (head.into_bytes(), body.into_bytes())
}

/// Asks a receiver what it says of itself.
pub(super) async fn ask<T: for<'de> serde::Deserialize<'de>>(port: u16, path: &str) -> Option<T> {
    let asking = async {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
        let request = format!("GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok()?;
        serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()
    };
    timeout(10 * PATIENCE, asking).await.ok().flatten()
}
