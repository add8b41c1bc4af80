//! Calls whose bytes no well-behaved client would send.

use futures_util::stream;
use http::uri::PathAndQuery;
use prost::bytes::{Buf as _, BufMut as _};
use tokio::{sync::oneshot, task::JoinHandle};
use tonic::{
    Request, Status,
    client::Grpc,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    transport::Channel,
};

/// Messages as the bytes they are.
#[derive(Clone, Copy, Default)]
struct Bytes;

impl Codec for Bytes {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Bytes {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put_slice(&item);
        Ok(())
    }
}

impl Decoder for Bytes {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining()).to_vec()))
    }
}

/// Sends `request` as the message of a unary call of `path`, such as `/package.Service/Method`.
pub async fn call(channel: &Channel, path: &str, request: &[u8]) -> Result<Vec<u8>, Status> {
    let mut grpc = Grpc::new(channel.clone());
    grpc.ready().await.expect("the connection stands");
    let path: PathAndQuery = path.parse().expect("a path");
    let answer = grpc.unary(Request::new(request.to_vec()), path, Bytes).await?;
    Ok(answer.into_inner())
}

/// A call whose message is sent only once its sender says so: until then it is in flight.
pub fn held_call(
    channel: &Channel,
    path: &'static str,
    request: Vec<u8>,
) -> (oneshot::Sender<()>, JoinHandle<Result<Vec<u8>, Status>>) {
    let (release, released) = oneshot::channel::<()>();
    let message = stream::once(async {
        released.await.ok();
        request
    });
    let mut grpc = Grpc::new(channel.clone());
    let answer = tokio::spawn(async move {
        grpc.ready().await.expect("the connection stands");
        let path = PathAndQuery::from_static(path);
        let answer = grpc.client_streaming(Request::new(message), path, Bytes).await?;
        Ok(answer.into_inner())
    });
    (release, answer)
}
