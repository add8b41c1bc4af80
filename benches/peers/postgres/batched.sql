-- A hundred such acks in one statement, in the order of their keys, so that no two block each
-- other for ever.
INSERT INTO read_states AS held
SELECT DISTINCT ON (user_id, channel_id) user_id, channel_id,
    (extract(epoch FROM clock_timestamp()) * 1000000)::bigint, 0, 1
FROM (
    SELECT 1 + (random() * (:users - 1))::bigint AS user_id,
        1 + (random() * 99)::bigint AS channel_id
    FROM generate_series(1, 100)
) AS drawn
ORDER BY user_id, channel_id
ON CONFLICT (user_id, channel_id) DO UPDATE SET
    last_acked_id = excluded.last_acked_id, mention_count = 0, version = held.version + 1
WHERE held.last_acked_id < excluded.last_acked_id;
