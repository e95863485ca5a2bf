//! Step 1: the exact bytes, bounded in size and time, hashed as they arrive.

use std::convert::Infallible;
use std::fmt;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use bytes::{Buf, Bytes, BytesMut};
use http::HeaderMap;
use http_body::{Frame, SizeHint};

use crate::error::RejectionReason;
use crate::timer::{Timer, before};

/// Frames taken without a pause. A flood of tiny frames must not keep the timer, or other tasks, waiting.
const FRAMES_A_POLL: usize = 128;

/// The request body that the inner service receives: the verified bytes, and the trailers if there were any.
///
/// Never fails and never waits: everything is there.
///
/// ```
/// use tower_webhook::{Secret, caspay, testing};
///
/// // An inner service reads it in one go. The same type is the body of a signed test request.
/// let request = testing::sign(&caspay::provider(), &Secret::new("a-signing-secret")?, r#"{"id":"evt_1"}"#);
/// assert_eq!(request.into_body().into_bytes(), r#"{"id":"evt_1"}"#);
/// # Ok::<(), tower_webhook::ConfigError>(())
/// ```
#[derive(Clone, Default)]
pub struct Body {
    data: Option<Bytes>,
    trailers: Option<HeaderMap>,
}

impl Body {
    pub(crate) fn new(data: Bytes, trailers: Option<HeaderMap>) -> Self {
        Self { data: Some(data).filter(|data| !data.is_empty()), trailers }
    }

    /// The whole body.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        self.data.unwrap_or_default()
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.data.as_ref().map_or(0, Bytes::len);
        f.debug_struct("Body").field("bytes", &bytes).finish_non_exhaustive()
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let data = self.data.take().map(Frame::data);
        Poll::Ready(data.or_else(|| self.trailers.take().map(Frame::trailers)).map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.data.is_none() && self.trailers.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.data.as_ref().map_or(0, Bytes::len) as u64)
    }
}

/// A body that has been read to its end.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) data: Bytes,
    pub(crate) trailers: Option<HeaderMap>,
}

/// Reads `body` to its end, feeding every frame to `feed` as it arrives. A body of one frame is not copied.
pub(crate) async fn read<B: http_body::Body>(
    body: Pin<&mut B>,
    limit: usize,
    timer: &mut Timer,
    feed: impl FnMut(&[u8]),
) -> Result<Received, RejectionReason> {
    let reading = pin!(read_to_end(body, limit, feed));
    before(reading, timer).await.unwrap_or(Err(RejectionReason::BodyTimeout))
}

async fn read_to_end<B: http_body::Body>(
    mut body: Pin<&mut B>,
    limit: usize,
    mut feed: impl FnMut(&[u8]),
) -> Result<Received, RejectionReason> {
    let mut collected = Collected::Nothing;
    let mut trailers = None;
    for taken in 1_usize.. {
        let Some(frame) = poll_fn(|cx| body.as_mut().poll_frame(cx)).await else { break };
        let frame = frame.map_err(|_| RejectionReason::BodyIncomplete)?;
        match frame.into_data() {
            Ok(mut data) => {
                let length = data.remaining();
                if length > limit - collected.len() {
                    return Err(RejectionReason::BodyTooLarge);
                }
                let bytes = data.copy_to_bytes(length);
                feed(&bytes);
                collected.push(bytes);
            }
            Err(frame) => trailers = frame.into_trailers().ok(),
        }
        if taken % FRAMES_A_POLL == 0 {
            pause().await;
        }
    }
    Ok(Received { data: collected.into_bytes(), trailers })
}

/// Lets the executor look at something else.
async fn pause() {
    let mut paused = false;
    poll_fn(|cx| {
        if paused {
            return Poll::Ready(());
        }
        paused = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Grows with what has arrived, never with what was announced.
enum Collected {
    Nothing,
    One(Bytes),
    Many(BytesMut),
}

impl Collected {
    fn len(&self) -> usize {
        match self {
            Self::Nothing => 0,
            Self::One(bytes) => bytes.len(),
            Self::Many(bytes) => bytes.len(),
        }
    }

    fn push(&mut self, bytes: Bytes) {
        if bytes.is_empty() {
            return;
        }
        match self {
            Self::Nothing => *self = Self::One(bytes),
            Self::One(first) => {
                let mut many = BytesMut::with_capacity(first.len() + bytes.len());
                many.extend_from_slice(first);
                many.extend_from_slice(&bytes);
                *self = Self::Many(many);
            }
            Self::Many(many) => many.extend_from_slice(&bytes),
        }
    }

    fn into_bytes(self) -> Bytes {
        match self {
            Self::Nothing => Bytes::new(),
            Self::One(bytes) => bytes,
            Self::Many(bytes) => bytes.freeze(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;
    use std::time::Duration;

    /// Frames that are there at once, then the end.
    struct Frames(VecDeque<Result<Frame<Bytes>, &'static str>>);

    impl http_body::Body for Frames {
        type Data = Bytes;
        type Error = &'static str;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _cx: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
            Poll::Ready(self.0.pop_front())
        }
    }

    fn data(parts: &[&'static str]) -> Frames {
        Frames(parts.iter().map(|part| Ok(Frame::data(Bytes::from_static(part.as_bytes())))).collect())
    }

    async fn read_all(body: Frames, limit: usize) -> (Result<Received, RejectionReason>, Vec<u8>) {
        let mut fed = Vec::new();
        let mut timer = Timer::after(Duration::from_secs(1));
        let received = read(pin!(body), limit, &mut timer, |bytes| fed.extend_from_slice(bytes)).await;
        (received, fed)
    }

    #[tokio::test]
    async fn frames_are_joined_and_fed() {
        for parts in
            [&["hello"][..], &["he", "llo"], &["", "h", "", "e", "llo", ""], &["h", "e", "l", "l", "o"]]
        {
            let (received, fed) = read_all(data(parts), 5).await;
            assert_eq!(received.unwrap().data, "hello");
            assert_eq!(fed, b"hello");
        }
        assert_eq!(read_all(data(&[]), 5).await.0.unwrap().data, "");
    }

    #[tokio::test]
    async fn the_limit_is_the_last_byte_that_fits() {
        assert!(read_all(data(&["hel", "lo"]), 5).await.0.is_ok());
        let (received, fed) = read_all(data(&["hel", "lo!"]), 5).await;
        assert_eq!(received.unwrap_err(), RejectionReason::BodyTooLarge);
        assert_eq!(fed, b"hel");
    }

    #[tokio::test]
    async fn one_frame_is_not_copied() {
        let bytes = Bytes::from(vec![7; 1_000]);
        let body = Frames([Ok(Frame::data(bytes.clone()))].into());
        assert_eq!(read_all(body, 1_000).await.0.unwrap().data.as_ptr(), bytes.as_ptr());
    }

    #[tokio::test]
    async fn trailers_are_kept() {
        let mut trailers = HeaderMap::new();
        trailers.insert("x-checksum", http::HeaderValue::from_static("1"));
        let mut frames = data(&["a"]);
        frames.0.push_back(Ok(Frame::trailers(trailers.clone())));
        let received = read_all(frames, 5).await.0.unwrap();
        assert_eq!(received.trailers, Some(trailers));
        assert_eq!(received.data, "a");
    }

    #[tokio::test]
    async fn an_error_is_a_broken_body() {
        let mut frames = data(&["a"]);
        frames.0.push_back(Err("reset"));
        assert_eq!(read_all(frames, 5).await.0.unwrap_err(), RejectionReason::BodyIncomplete);
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_of_empty_frames_ends_with_the_time() {
        struct Flood;
        impl http_body::Body for Flood {
            type Data = Bytes;
            type Error = Infallible;

            fn poll_frame(
                self: Pin<&mut Self>,
                _cx: &mut Context<'_>,
            ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
                Poll::Ready(Some(Ok(Frame::data(Bytes::new()))))
            }
        }
        let mut timer = Timer::after(Duration::ZERO);
        let received = read(pin!(Flood), 5, &mut timer, |_| ()).await;
        assert_eq!(received.unwrap_err(), RejectionReason::BodyTimeout);
    }
}
