-- Makes as many read states as ARGV[1] says, named as redis-benchmark draws them.
for place = 0, tonumber(ARGV[1]) - 1 do
    redis.call('HSET', string.format('rs:%012d', place), 'acked', '000000000000', 'mentions', 0,
        'version', 0)
end
