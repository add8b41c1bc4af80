//! The body of a call, read to its end even where its answer did not need it.
//!
//! A call that is refused is answered before its body is there. Were the body dropped then, h2
//! would reset the stream, and as long as that waits to leave it counts every small frame that
//! comes of it against the connection for good (0.4.20): after some thousands it takes them for
//! an attack, "too_many_data_frames", and ends the connection with all calls on it. So what is
//! left is read and thrown away, in bounds.

use std::{
    future::{Future as _, poll_fn},
    pin::Pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::{Buf as _, Bytes};
use http_body::{Body, Frame, SizeHint};
use tokio::{runtime::Handle, time::timeout};

use crate::rpc::REFUSED_WITHIN;

/// Bytes of an unwanted body that are read at most, and how long that may take: more than a caller
/// may send before it hears of its answer, which may be told later. One that goes on is reset after
/// all. A connection has no more of them than calls: each is one until its end.
const LEFT_BYTES_MAX: usize = 1024 * 1024;
const LEFT_WITHIN: Duration = REFUSED_WITHIN.saturating_add(Duration::from_secs(1));

/// A body that is read to its end; see the module's documentation.
pub struct Upload<B: Body<Data = Bytes> + Send + Unpin + 'static>(Option<B>);

impl<B: Body<Data = Bytes> + Send + Unpin + 'static> Upload<B> {
    pub fn new(body: B) -> Self {
        Self(Some(body))
    }
}

impl<B: Body<Data = Bytes> + Send + Unpin + 'static> Body for Upload<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let Some(body) = &mut self.0 else { return Poll::Ready(None) };
        Pin::new(body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.0.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl<B: Body<Data = Bytes> + Send + Unpin + 'static> Drop for Upload<B> {
    fn drop(&mut self) {
        let Some(body) = self.0.take().filter(|body| !body.is_end_stream()) else { return };
        let mut rest = Box::pin(finish(body));
        // Mostly all of it is there: refusals have to be cheap.
        if rest.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
            return;
        }
        // Where a runtime ends its connections end with it.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(timeout(LEFT_WITHIN, rest));
        }
    }
}

/// Reads what is left, up to the bound.
async fn finish<B: Body<Data = Bytes> + Unpin>(mut body: B) {
    let mut left = LEFT_BYTES_MAX;
    while let Some(Ok(frame)) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        let bytes = frame.data_ref().map_or(0, |data| data.remaining());
        let Some(rest) = left.checked_sub(bytes) else { return };
        left = rest;
    }
}

#[cfg(test)]
mod tests {
    use std::{
        convert::Infallible,
        future::ready,
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
    };

    use http::Response;
    use hyper::{body::Incoming, server::conn::http2, service::service_fn};
    use hyper_util::rt::{TokioExecutor, TokioIo};
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex},
        sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
        task::yield_now,
    };

    use super::*;

    /// Of frames that a test sends; dropped once nobody reads it any more.
    struct Frames(UnboundedReceiver<Bytes>);

    impl Body for Frames {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            self.0.poll_recv(context).map(|data| data.map(|data| Ok(Frame::data(data))))
        }

        fn is_end_stream(&self) -> bool {
            self.0.is_closed() && self.0.is_empty()
        }
    }

    fn dropped() -> UnboundedSender<Bytes> {
        let (sender, frames) = unbounded_channel();
        drop(Upload::new(Frames(frames)));
        sender
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_left_is_read_to_its_end() {
        let body = dropped();
        for _ in 0..100 {
            tokio::task::yield_now().await;
            body.send(Bytes::from_static(b"late")).expect("it is still read");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_goes_on_is_given_up() {
        let long = dropped();
        let piece = Bytes::from_static(&[0; LEFT_BYTES_MAX / 2]);
        for _ in 0..3 {
            long.send(piece.clone()).expect("it is not given up before it is read");
        }
        long.closed().await;
        let began = tokio::time::Instant::now();
        dropped().closed().await;
        assert_eq!(began.elapsed(), LEFT_WITHIN);
    }

    #[tokio::test]
    async fn what_was_read_to_its_end_needs_nobody() {
        let (sender, frames) = unbounded_channel();
        let mut body = Upload::new(Frames(frames));
        sender.send(Bytes::from_static(b"all")).expect("it is read");
        drop(sender);
        let mut next = async || poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await;
        assert!(next().await.is_some_and(|frame| frame.is_ok_and(|frame| frame.is_data())));
        assert!(next().await.is_none());
        assert!(body.is_end_stream());
        drop(body);
        assert_eq!(Handle::current().metrics().num_alive_tasks(), 0);
    }

    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    const DATA: u8 = 0;
    const HEADERS: u8 = 1;
    const SETTINGS: u8 = 4;
    const PING: u8 = 6;
    const GOAWAY: u8 = 7;
    const END_HEADERS: u8 = 4;
    /// POST http /, all of the static table.
    const HEAD: &[u8] = &[0x83, 0x86, 0x84];

    async fn send(peer: &mut DuplexStream, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
        frame.extend([kind, flags]);
        frame.extend(stream.to_be_bytes());
        frame.extend(payload);
        peer.write_all(&frame).await.expect("it is taken");
    }

    /// The first frame of one of these kinds.
    async fn first_of(peer: &mut DuplexStream, kinds: [u8; 2]) -> u8 {
        loop {
            let mut head = [0; 9];
            peer.read_exact(&mut head).await.expect("it says why it ends");
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let mut payload = vec![0; length as usize];
            peer.read_exact(&mut payload).await.expect("a whole frame");
            if kinds.contains(&head[3]) {
                return head[3];
            }
        }
    }

    /// Whether a connection ends on which bodies come when their calls are answered, and the
    /// answers have not left yet: the peer reads nothing before it has sent everything.
    async fn ends(leave: fn(Incoming)) -> bool {
        const CALLS: usize = 190;
        let (mut peer, served) = duplex(1024);
        let answered = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&answered);
        let service = service_fn(move |request: http::Request<Incoming>| {
            leave(request.into_body());
            let number = count.fetch_add(1, Ordering::Relaxed);
            // Long, and each another, so that h2's own buffer is soon full of them.
            let answer = Response::builder().header("message", format!("{number:0>1000}"));
            ready(answer.body(tonic::body::Body::empty()))
        });
        let mut http = http2::Builder::new(TokioExecutor::new());
        // The least there is: h2 takes some 130 small frames then.
        http.initial_connection_window_size(65_535);
        tokio::spawn(http.serve_connection(TokioIo::new(served), service));
        peer.write_all(PREFACE).await.expect("it is taken");
        send(&mut peer, SETTINGS, 0, 0, &[]).await;
        let streams = (0..CALLS as u32).map(|call| 1 + 2 * call);
        for stream in streams.clone() {
            send(&mut peer, HEADERS, END_HEADERS, stream, HEAD).await;
        }
        while answered.load(Ordering::Relaxed) < CALLS {
            yield_now().await;
        }
        for stream in streams {
            send(&mut peer, DATA, 0, stream, &[0; 5]).await;
            for _ in 0..4 {
                yield_now().await;
            }
        }
        send(&mut peer, PING, 0, 0, &[0; 8]).await;
        first_of(&mut peer, [PING, GOAWAY]).await == GOAWAY
    }

    #[tokio::test]
    async fn what_comes_after_an_answer_does_not_end_the_connection() {
        assert!(ends(drop).await, "h2 counts it no more: this file is not needed any more");
        assert!(!ends(|body| drop(Upload::new(body))).await);
    }
}
