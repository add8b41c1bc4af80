//! The nodes themselves: that they answer, survive what tests do to them, and leave nothing behind.

use crate::{cql, long::is_long, node::Cluster};

#[tokio::test]
async fn a_node_answers() {
    let Some(cluster) = Cluster::shared().await else { return };
    assert!(cql::answers(&cluster.contact_point()).await);
}

/// Long: six starts.
#[tokio::test]
async fn nodes_stop_go_on_die_and_come_back() {
    if !is_long("nodes stop, go on, die and come back") {
        return;
    }
    let Some(cluster) = Cluster::start(3).await else { return };
    let points = cluster.contact_points();
    assert_eq!(points.len(), 3);
    cluster.stop(1);
    assert!(!cql::answers(&points[1]).await, "{}", cluster.log_tail(1));
    cluster.cont(1);
    cluster.settled().await;
    cluster.kill(2).await;
    assert!(!cql::answers(&points[2]).await, "{}", cluster.log_tail(2));
    assert!(!cql::is_settled(&points).await);
    assert!(cql::answers(&points[0]).await, "{}", cluster.log_tail(0));
    for node in [2, 0, 1] {
        cluster.restart(node).await;
    }
    cluster.settled().await;
}
