-- One ack that moves a watermark forward, in a transaction of its own.
\set user_id random(1, :users)
\set channel_id random(1, 100)
INSERT INTO read_states AS held
VALUES (:user_id, :channel_id, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint, 0, 1)
ON CONFLICT (user_id, channel_id) DO UPDATE SET
    last_acked_id = excluded.last_acked_id, mention_count = 0, version = held.version + 1
WHERE held.last_acked_id < excluded.last_acked_id;
