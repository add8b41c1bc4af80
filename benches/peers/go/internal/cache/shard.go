package cache

import (
	"sync"

	"readstates-peer/internal/state"
	"readstates-peer/internal/store"
)

// flushMax is how many states are written while a lock is held.
const flushMax = 256

type shard struct {
	mutex       sync.Mutex
	store       store.Store
	table       table
	lastVersion uint64
	// dirty has the changed entries, those first that were changed first.
	dirty    []due
	dirtyMax int
}

// due is an entry to be written, unless that was done when it was pushed out: then it is clean, or
// another one that was changed at another time.
type due struct {
	entry   *entry
	dirtyUs int64
}

func (s *shard) update(
	key state.Key, expected *uint64, nowUs int64, act func(*state.State) bool,
) (Done, error) {
	found := s.find(key)
	if found == nil {
		// What does not exist becomes resident only if it comes to be.
		found = &entry{key: key}
	}
	if expected != nil && *expected != found.state.Version {
		return Done{State: found.state}, ErrVersion
	}
	existed := found.state.Exists()
	if !act(&found.state) {
		return Done{State: found.state}, nil
	}
	s.lastVersion = max(uint64(nowUs), s.lastVersion+1, found.state.Version+1)
	found.state.Version = s.lastVersion
	if !existed {
		found = s.insert(*found)
	}
	s.mark(found, nowUs)
	return Done{State: found.state, Changed: true}, nil
}

// find returns the entry of a state that exists, loaded if need be, as the one used last.
func (s *shard) find(key state.Key) *entry {
	if found := s.table.use(key); found != nil {
		return found
	}
	loaded, exists := s.store.Load(key)
	if !exists {
		return nil
	}
	return s.insert(entry{key: key, state: loaded})
}

func (s *shard) insert(added entry) *entry {
	if s.table.isFull() {
		s.write(s.table.oldest())
		s.table.removeOldest()
	}
	return s.table.add(added)
}

func (s *shard) mark(changed *entry, nowUs int64) {
	if changed.dirtyUs != 0 {
		return
	}
	changed.dirtyUs = nowUs
	s.dirty = append(s.dirty, due{changed, nowUs})
	if len(s.dirty) > s.dirtyMax {
		s.writeFirst()
	}
}

// write saves an entry if it is dirty.
func (s *shard) write(written *entry) {
	if written.dirtyUs != 0 {
		s.store.Save(written.key, &written.state)
		written.dirtyUs = 0
	}
}

func (s *shard) writeFirst() {
	first := s.dirty[0]
	if first.entry.dirtyUs == first.dirtyUs {
		s.write(first.entry)
	}
	s.dirty[0] = due{}
	s.dirty = s.dirty[1:]
}

// flushSome writes some of what has been dirty since before a moment. It tells whether to go on.
func (s *shard) flushSome(beforeUs int64) bool {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	for range flushMax {
		if len(s.dirty) == 0 || s.dirty[0].dirtyUs > beforeUs {
			return false
		}
		s.writeFirst()
	}
	return true
}
