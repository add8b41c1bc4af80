package service

import (
	"strconv"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// failure is what a caller is told instead of an answer.
type failure struct {
	code    codes.Code
	reason  string
	message string
	// version is the current one, where another was expected.
	version *uint64
}

func invalid(reason, message string) *failure {
	return &failure{code: codes.InvalidArgument, reason: reason, message: message}
}

func mismatch(version uint64) *failure {
	message := "the state has another version than expected"
	return &failure{
		code: codes.Aborted, reason: "VERSION_MISMATCH", message: message, version: &version,
	}
}

// err returns the failure as gRPC wants it.
func (f *failure) err() error {
	info := &errdetails.ErrorInfo{Reason: f.reason, Domain: "readstates"}
	if f.version != nil {
		info.Metadata = map[string]string{"current_version": strconv.FormatUint(*f.version, 10)}
	}
	told := status.New(f.code, f.message)
	detailed, err := told.WithDetails(info)
	if err != nil {
		return told.Err()
	}
	return detailed.Err()
}
