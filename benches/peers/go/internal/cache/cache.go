// Package cache has the resident states: a fixed number of shards, each a mutex, a map and a list
// in order of use. What changed is written behind.
package cache

import (
	"context"
	"errors"
	"time"

	"readstates-peer/internal/state"
	"readstates-peer/internal/store"
)

// ErrVersion says that a state has not the version that the caller expected.
var ErrVersion = errors.New("the state has another version")

// flushEvery is how often is looked for states that are due.
const flushEvery = time.Second

// Settings of a cache.
type Settings struct {
	// Entries is how many states are resident at most.
	Entries int
	// Shards each have a lock of their own.
	Shards int
	// Slab has the entries of a shard in one piece of memory, instead of linked on the heap.
	Slab bool
	// FlushAfter is the time from the first unwritten change of a state to its write.
	FlushAfter time.Duration
	// DirtyMax is how many states may wait for the store; each change beyond it writes one first.
	DirtyMax int
}

// Cache keeps the states used last in memory, in front of a store.
type Cache struct {
	shards     []*shard
	flushAfter time.Duration
}

// Done is what came of an update.
type Done struct {
	// State is the one after the update. Its ledger is not to be looked at.
	State   state.State
	Changed bool
}

// New returns an empty cache.
func New(settings Settings, store store.Store) *Cache {
	cache := &Cache{flushAfter: settings.FlushAfter}
	each := max(1, settings.Entries/settings.Shards)
	dirtyMax := max(1, settings.DirtyMax/settings.Shards)
	for range settings.Shards {
		s := &shard{store: store, dirtyMax: dirtyMax}
		if settings.Slab {
			s.table = newSlab(each)
		} else {
			s.table = newLinked(each)
		}
		cache.shards = append(cache.shards, s)
	}
	return cache
}

func (c *Cache) of(key state.Key) *shard {
	return c.shards[key.Hash()%uint64(len(c.shards))]
}

// Get returns a state; one that does not exist has no version.
func (c *Cache) Get(key state.Key) state.State {
	s := c.of(key)
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if found := s.find(key); found != nil {
		return found.state
	}
	return state.State{}
}

// Update does act, which tells whether it changed the state, and stamps the state if it did.
// Expected is the version that the state must have, or nil.
func (c *Cache) Update(key state.Key, expected *uint64, act func(*state.State) bool) (Done, error) {
	now := time.Now().UnixMicro()
	s := c.of(key)
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.update(key, expected, now, act)
}

// Run writes what is due, until the context ends, and then all that is left.
func (c *Cache) Run(ctx context.Context) {
	ticker := time.NewTicker(flushEvery)
	defer ticker.Stop()
	for {
		select {
		case now := <-ticker.C:
			c.flush(now.Add(-c.flushAfter).UnixMicro())
		case <-ctx.Done():
			c.flush(time.Now().UnixMicro())
			return
		}
	}
}

// flush writes what has been dirty since before a moment.
func (c *Cache) flush(beforeUs int64) {
	for _, s := range c.shards {
		for s.flushSome(beforeUs) {
		}
	}
}
