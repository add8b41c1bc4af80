-- An ack, or one time in eight a mention, of a message in a read state: the watermark goes forward
-- only, a mention counts once per message and only above it, an ack drops what it has read. Ids
-- are of one width, so that their order as text is that of their numbers.
--
-- KEYS[1] the state, a hash of acked, mentions, version; ARGV[1] the message. The ids of unread
-- mentions are a sorted set beside it.
local id, ledger = ARGV[1], KEYS[1] .. ':m'
local acked = redis.call('HGET', KEYS[1], 'acked') or ''
if tonumber(id) % 8 == 0 then
    if id <= acked then return 'ALREADY_READ' end
    if redis.call('ZADD', ledger, 'NX', 0, id) == 0 then return 'DUPLICATE' end
    redis.call('HINCRBY', KEYS[1], 'mentions', 1)
    redis.call('HINCRBY', KEYS[1], 'version', 1)
    return 'INCREMENTED'
end
if id <= acked then return 'UNCHANGED' end
redis.call('HSET', KEYS[1], 'acked', id)
local read = redis.call('ZREMRANGEBYLEX', ledger, '-', '[' .. id)
if read > 0 then redis.call('HINCRBY', KEYS[1], 'mentions', -read) end
redis.call('HINCRBY', KEYS[1], 'version', 1)
return 'CHANGED'
