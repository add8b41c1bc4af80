package cache

import "readstates-peer/internal/state"

// slab is what one comes to when the collector takes too long: all entries in one piece of memory
// and numbers instead of pointers, so that it has few objects to mark and no map to look into.
type slab struct {
	places  map[state.Key]int32
	entries []entry
	links   []links
	// first and last in order of use, the newest first; none where there is none.
	first, last int32
	// free is a place that nobody has.
	free int32
}

type links struct{ newer, older int32 }

const none = -1

func newSlab(entriesMax int) *slab {
	return &slab{
		places:  make(map[state.Key]int32, entriesMax),
		entries: make([]entry, 0, entriesMax),
		links:   make([]links, 0, entriesMax),
		first:   none,
		last:    none,
		free:    none,
	}
}

func (s *slab) use(key state.Key) *entry {
	place, resident := s.places[key]
	if !resident {
		return nil
	}
	if s.first != place {
		s.unlink(place)
		s.link(place)
	}
	return &s.entries[place]
}

func (s *slab) add(added entry) *entry {
	place := s.free
	if place == none {
		place = int32(len(s.entries))
		s.entries = append(s.entries, added)
		s.links = append(s.links, links{})
	} else {
		s.entries[place] = added
		s.free = none
	}
	s.places[added.key] = place
	s.link(place)
	return &s.entries[place]
}

func (s *slab) isFull() bool {
	return s.free == none && len(s.entries) == cap(s.entries)
}

func (s *slab) len() int       { return len(s.places) }
func (s *slab) oldest() *entry { return &s.entries[s.last] }

// removeOldest leaves one free place, which the next entry takes.
func (s *slab) removeOldest() {
	place := s.last
	s.unlink(place)
	delete(s.places, s.entries[place].key)
	s.entries[place] = entry{}
	s.free = place
}

func (s *slab) link(place int32) {
	s.links[place] = links{newer: none, older: s.first}
	if s.first != none {
		s.links[s.first].newer = place
	} else {
		s.last = place
	}
	s.first = place
}

func (s *slab) unlink(place int32) {
	removed := s.links[place]
	if removed.newer != none {
		s.links[removed.newer].older = removed.older
	} else {
		s.first = removed.older
	}
	if removed.older != none {
		s.links[removed.older].newer = removed.newer
	} else {
		s.last = removed.newer
	}
}
