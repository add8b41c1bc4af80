package service

import (
	"google.golang.org/grpc/codes"

	"readstates-peer/internal/cache"
	pb "readstates-peer/internal/contract"
	"readstates-peer/internal/state"
)

// done is what came of one operation.
type done struct {
	key     state.Key
	state   state.State
	changed bool
	outcome state.Outcome
}

func keyOf(user, channel uint64, kind pb.ReadStateType) (state.Key, *failure) {
	if user == 0 || channel == 0 {
		return state.Key{}, invalid("INVALID_ID", "an id is never 0")
	}
	if _, known := pb.ReadStateType_name[int32(kind)]; !known {
		return state.Key{}, invalid("INVALID_TYPE", "there is no such read state type")
	}
	if kind == pb.ReadStateType_READ_STATE_TYPE_UNSPECIFIED {
		kind = pb.ReadStateType_READ_STATE_TYPE_CHANNEL
	}
	return state.Key{User: user, Channel: channel, Kind: uint8(kind)}, nil
}

// settle turns what the cache says into what came of the operation.
func settle(
	key state.Key, updated cache.Done, outcome state.Outcome, err error,
) (done, *failure) {
	if err != nil {
		return done{}, mismatch(updated.State.Version)
	}
	return done{key, updated.State, updated.Changed, outcome}, nil
}

func (s *Service) ack(request *pb.AckRequest) (done, *failure) {
	key, failed := keyOf(request.GetUserId(), request.GetChannelId(), request.GetType())
	if failed != nil {
		return done{}, failed
	}
	message := request.GetMessageId()
	if message == 0 {
		return done{}, invalid("INVALID_ID", "an id is never 0")
	}
	updated, err := s.cache.Update(key, request.ExpectedVersion, func(s *state.State) bool {
		return s.Ack(message, request.Flags, request.LastViewedDay)
	})
	return settle(key, updated, state.NoMention, err)
}

func (s *Service) increment(request *pb.IncrementRequest) (done, *failure) {
	key, failed := keyOf(request.GetUserId(), request.GetChannelId(), request.GetType())
	if failed != nil {
		return done{}, failed
	}
	message, count := request.GetMessageId(), max(request.GetCount(), 1)
	if message != 0 && count != 1 {
		return done{}, invalid("INVALID_COUNT", "with message_id, count is 0 or 1")
	}
	outcome := state.Incremented
	updated, err := s.cache.Update(key, nil, func(s *state.State) (changed bool) {
		if message == 0 {
			return s.Increment(count, request.InitialAckedId)
		}
		outcome, changed = s.Mention(message, request.InitialAckedId)
		return changed
	})
	return settle(key, updated, outcome, err)
}

func (s *Service) reset(request *pb.ResetRequest) (done, *failure) {
	key, failed := keyOf(request.GetUserId(), request.GetChannelId(), request.GetType())
	if failed != nil {
		return done{}, failed
	}
	updated, err := s.cache.Update(key, request.ExpectedVersion, (*state.State).Reset)
	return settle(key, updated, state.NoMention, err)
}

// apply does one operation of a batch.
func (s *Service) apply(operation *pb.Operation) *pb.OperationResult {
	var done done
	var failed *failure
	switch kind := operation.GetOperation().(type) {
	case *pb.Operation_Ack:
		done, failed = s.ack(kind.Ack)
	case *pb.Operation_Increment:
		done, failed = s.increment(kind.Increment)
	case *pb.Operation_Reset_:
		done, failed = s.reset(kind.Reset_)
	case nil:
		failed = invalid("EMPTY_OPERATION", "one operation must be set")
	default:
		failed = &failure{code: codes.Unimplemented, reason: "UNIMPLEMENTED"}
	}
	if failed != nil {
		result := &pb.OperationResult{Code: int32(failed.code), Reason: failed.reason}
		if failed.version != nil {
			result.Version = *failed.version
		}
		return result
	}
	return &pb.OperationResult{
		Version:      done.state.Version,
		MentionCount: done.state.MentionCount,
		LastAckedId:  done.state.LastAckedID,
		Changed:      done.changed,
		Outcome:      pb.MentionOutcome(done.outcome),
	}
}

// shown is the state on the wire; nothing where there is none.
func shown(key state.Key, shown *state.State) *pb.ReadState {
	if !shown.Exists() {
		return nil
	}
	return &pb.ReadState{
		UserId:        key.User,
		ChannelId:     key.Channel,
		LastAckedId:   shown.LastAckedID,
		MentionCount:  shown.MentionCount,
		Version:       shown.Version,
		Flags:         shown.Flags,
		LastViewedDay: shown.ViewedDay,
		MentionsExact: !shown.Inexact,
		Type:          pb.ReadStateType(key.Kind),
	}
}
