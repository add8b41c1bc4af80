package cache

import (
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"readstates-peer/internal/state"
	"readstates-peer/internal/store"
)

// both runs a test with either table.
func both(t *testing.T, run func(*testing.T, Settings)) {
	for name, slab := range map[string]bool{"linked": false, "slab": true} {
		settings := Settings{
			Entries: 64, Shards: 4, Slab: slab, FlushAfter: time.Hour, DirtyMax: 32,
		}
		t.Run(name, func(t *testing.T) { run(t, settings) })
	}
}

func ack(message uint64) func(*state.State) bool {
	return func(s *state.State) bool { return s.Ack(message, nil, nil) }
}

// A cache much smaller than what goes through it, against a map.
func TestWhatWasPushedOutComesBackAsItWas(t *testing.T) {
	both(t, pushedOut)
}

func pushedOut(t *testing.T, settings Settings) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	cache, expected := New(settings, store.NewMemory()), map[state.Key]state.State{}
	for range 20_000 {
		key := state.Key{User: random.Uint64N(50) + 1, Channel: random.Uint64N(10) + 1, Kind: 1}
		message := random.Uint64N(500) + 1
		done, err := cache.Update(key, nil, func(s *state.State) (changed bool) {
			if message%3 == 0 {
				return s.Ack(message, nil, nil)
			}
			_, changed = s.Mention(message, nil)
			return changed
		})
		if err != nil {
			t.Fatal(err)
		}
		before := expected[key]
		if done.Changed == (done.State.Version == before.Version) {
			t.Fatalf("%+v after %+v", done, before)
		}
		expected[key] = done.State
		if message%7 == 0 {
			cache.flush(time.Now().UnixMicro())
		}
	}
	for key, expected := range expected {
		found := cache.Get(key)
		if found.MentionCount != expected.MentionCount || found.LastAckedID != expected.LastAckedID {
			t.Fatalf("%+v is not %+v", found, expected)
		}
	}
	for _, shard := range cache.shards {
		if shard.table.len() != 16 || len(shard.dirty) > 8 {
			t.Fatal("a shard has another number of entries than it may")
		}
	}
}

func TestTheLeastRecentlyUsedGoesFirst(t *testing.T) {
	both(t, leastRecentlyUsed)
}

func leastRecentlyUsed(t *testing.T, settings Settings) {
	settings.Entries, settings.Shards = 3, 1
	cache := New(settings, store.Nothing{})
	key := func(channel uint64) state.Key { return state.Key{User: 1, Channel: channel, Kind: 1} }
	for channel := range uint64(3) {
		cache.Update(key(channel+1), nil, ack(1))
	}
	cache.Get(key(1))
	cache.Update(key(4), nil, ack(1))
	for channel, resident := range map[uint64]bool{1: true, 2: false, 3: true, 4: true} {
		if state := cache.Get(key(channel)); state.Exists() != resident {
			t.Fatalf("channel %d: resident is not %v", channel, resident)
		}
	}
}

func TestAnotherVersionIsRefused(t *testing.T) {
	both(t, anotherVersion)
}

func anotherVersion(t *testing.T, settings Settings) {
	cache, key := New(settings, store.NewMemory()), state.Key{User: 1, Channel: 1, Kind: 1}
	none, other := uint64(0), uint64(1)
	if _, err := cache.Update(key, &other, ack(1)); err != ErrVersion {
		t.Fatalf("%v", err)
	}
	done, err := cache.Update(key, &none, ack(1))
	if err != nil || !done.Changed {
		t.Fatalf("%v", err)
	}
	if _, err := cache.Update(key, &done.State.Version, ack(2)); err != nil {
		t.Fatal(err)
	}
}

func TestNoneOfManyAtOnceIsLost(t *testing.T) {
	both(t, manyAtOnce)
}

func manyAtOnce(t *testing.T, settings Settings) {
	const callers, each, users = 4, 2_000, 100
	cache := New(settings, store.NewMemory())
	var calling sync.WaitGroup
	for range callers {
		calling.Go(func() {
			for i := range each {
				key := state.Key{User: uint64(i%users) + 1, Channel: 1, Kind: 1}
				cache.Update(key, nil, func(s *state.State) bool { return s.Increment(1, nil) })
				if i%100 == 0 {
					cache.flush(time.Now().UnixMicro())
				}
			}
		})
	}
	calling.Wait()
	for user := range uint64(users) {
		found := cache.Get(state.Key{User: user + 1, Channel: 1, Kind: 1})
		if found.MentionCount != callers*each/users {
			t.Fatalf("user %d has %d mentions", user+1, found.MentionCount)
		}
	}
}
