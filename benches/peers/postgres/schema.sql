-- Read states as a table. The room left on each page lets updates stay on theirs.
CREATE TABLE read_states (
    user_id bigint NOT NULL,
    channel_id bigint NOT NULL,
    last_acked_id bigint NOT NULL,
    mention_count integer NOT NULL,
    version bigint NOT NULL,
    PRIMARY KEY (user_id, channel_id)
) WITH (fillfactor = 70);
INSERT INTO read_states
SELECT place / 100 + 1, place % 100 + 1, 1, 0, 1 FROM generate_series(0, :keys - 1) AS place;
VACUUM ANALYZE read_states;
CHECKPOINT;
