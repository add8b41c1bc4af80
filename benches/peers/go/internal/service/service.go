// Package service answers calls of readstates.v1 from a cache: those that the comparison makes.
package service

import (
	"context"
	"errors"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"readstates-peer/internal/cache"
	pb "readstates-peer/internal/contract"
	"readstates-peer/internal/state"
)

// itemsMax is how many operations or users one message may have.
const itemsMax = 10_000

// Service answers Ack, Increment, Reset, FanOut, Get, Apply and ApplyStream; all other methods are
// UNIMPLEMENTED.
type Service struct {
	pb.UnimplementedReadStatesServiceServer
	cache *cache.Cache
}

// New returns a service over a cache.
func New(cache *cache.Cache) *Service {
	return &Service{cache: cache}
}

// Ack moves a watermark forward.
func (s *Service) Ack(_ context.Context, request *pb.AckRequest) (*pb.AckResponse, error) {
	done, failed := s.ack(request)
	if failed != nil {
		return nil, failed.err()
	}
	return &pb.AckResponse{State: shown(done.key, &done.state), Changed: done.changed}, nil
}

// Increment counts a mention.
func (s *Service) Increment(
	_ context.Context, request *pb.IncrementRequest,
) (*pb.IncrementResponse, error) {
	done, failed := s.increment(request)
	if failed != nil {
		return nil, failed.err()
	}
	return &pb.IncrementResponse{
		State:   shown(done.key, &done.state),
		Changed: done.changed,
		Outcome: pb.MentionOutcome(done.outcome),
	}, nil
}

// Reset sets a mention count to 0.
func (s *Service) Reset(_ context.Context, request *pb.ResetRequest) (*pb.ResetResponse, error) {
	done, failed := s.reset(request)
	if failed != nil {
		return nil, failed.err()
	}
	return &pb.ResetResponse{State: shown(done.key, &done.state), Changed: done.changed}, nil
}

// Get returns one state.
func (s *Service) Get(_ context.Context, request *pb.GetRequest) (*pb.GetResponse, error) {
	key, failed := keyOf(request.GetUserId(), request.GetChannelId(), request.GetType())
	if failed != nil {
		return nil, failed.err()
	}
	found := s.cache.Get(key)
	if !found.Exists() {
		missing := &failure{
			code: codes.NotFound, reason: "READ_STATE_NOT_FOUND", message: "there is no such read state",
		}
		return nil, missing.err()
	}
	return &pb.GetResponse{State: shown(key, &found)}, nil
}

// FanOut counts one message for each of many users.
func (s *Service) FanOut(_ context.Context, request *pb.FanOutRequest) (*pb.FanOutResponse, error) {
	users := request.GetUserIds()
	if failed := checkFanOut(request); failed != nil {
		return nil, failed.err()
	}
	answer := &pb.FanOutResponse{}
	seen := make(map[uint64]struct{}, len(users))
	for _, user := range users {
		if _, twice := seen[user]; twice {
			continue
		}
		seen[user] = struct{}{}
		done, failed := s.increment(&pb.IncrementRequest{
			UserId:         user,
			ChannelId:      request.GetChannelId(),
			MessageId:      request.GetMessageId(),
			InitialAckedId: request.InitialAckedId,
		})
		if failed != nil {
			return nil, failed.err()
		}
		switch done.outcome {
		case state.Incremented:
			answer.Incremented++
		case state.Duplicate:
			answer.Duplicate++
		case state.AlreadyRead:
			answer.AlreadyRead++
		}
	}
	return answer, nil
}

func checkFanOut(request *pb.FanOutRequest) *failure {
	if request.GetChannelId() == 0 || request.GetMessageId() == 0 {
		return invalid("INVALID_ID", "an id is never 0")
	}
	for _, user := range request.GetUserIds() {
		if user == 0 {
			return invalid("INVALID_ID", "an id is never 0")
		}
	}
	return checkItems(len(request.GetUserIds()))
}

// Apply does many operations in their order.
func (s *Service) Apply(_ context.Context, request *pb.ApplyRequest) (*pb.ApplyResponse, error) {
	results, failed := s.applyAll(request.GetOperations())
	if failed != nil {
		return nil, failed.err()
	}
	return &pb.ApplyResponse{Results: results}, nil
}

// ApplyStream does many messages of operations, each in its turn.
func (s *Service) ApplyStream(
	stream grpc.BidiStreamingServer[pb.ApplyStreamRequest, pb.ApplyStreamResponse],
) error {
	for {
		request, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		results, failed := s.applyAll(request.GetOperations())
		if failed != nil {
			return failed.err()
		}
		answer := &pb.ApplyStreamResponse{Sequence: request.GetSequence(), Results: results}
		if err := stream.Send(answer); err != nil {
			return err
		}
	}
}

func (s *Service) applyAll(operations []*pb.Operation) ([]*pb.OperationResult, *failure) {
	if failed := checkItems(len(operations)); failed != nil {
		return nil, failed
	}
	results := make([]*pb.OperationResult, len(operations))
	for i, operation := range operations {
		results[i] = s.apply(operation)
	}
	return results, nil
}

func checkItems(count int) *failure {
	if count > itemsMax {
		return invalid("TOO_MANY_ITEMS", "too many items in one message")
	}
	return nil
}
