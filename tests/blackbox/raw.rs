//! Calls whose bytes no well-behaved client would send.

use futures_util::stream;
use http::uri::PathAndQuery;
use tokio::{sync::oneshot, task::JoinHandle};
use tonic::{Request, Status, client::Grpc, transport::Channel};

use crate::bytes::Bytes;

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
