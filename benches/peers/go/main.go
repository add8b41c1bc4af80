// Command readstates-peer serves the hot part of readstates.v1 the way one would write it in Go:
// the other side of the comparison in docs/comparison.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"net"
	"os"
	"os/signal"
	"runtime"
	"sync"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"readstates-peer/internal/cache"
	pb "readstates-peer/internal/contract"
	"readstates-peer/internal/service"
	"readstates-peer/internal/store"
)

// The generated code is made of the project's contract, and not kept.
//go:generate go run ./internal/generate

// messageBytesMax bounds what is taken in, as in the service it is compared with.
const messageBytesMax = 1 << 20

type options struct {
	listen, store string
	cache         cache.Settings
	workers       int
}

func main() {
	if err := serve(parse()); err != nil {
		log.Fatal(err)
	}
}

func parse() options {
	var o options
	flag.StringVar(&o.listen, "listen", "127.0.0.1:50051", "where to answer gRPC")
	flag.StringVar(&o.store, "store", "memory", "where states rest: memory or none")
	flag.IntVar(&o.cache.Entries, "entries", 1_000_000, "states resident at most")
	flag.IntVar(&o.cache.Shards, "shards", 256, "shards, each with a lock of its own")
	flag.BoolVar(&o.cache.Slab, "slab", false,
		"keep the entries of a shard in one piece of memory, not linked on the heap")
	flag.DurationVar(&o.cache.FlushAfter, "flush-after", 30*time.Second,
		"from the first unwritten change of a state to its write")
	flag.IntVar(&o.cache.DirtyMax, "dirty-limit", 0,
		"states that may wait for the store; 0 for half of the entries")
	flag.IntVar(&o.workers, "stream-workers", 0,
		"goroutines kept for calls; 0 for a new one each, as grpc-go does by itself")
	flag.Parse()
	if o.cache.DirtyMax == 0 {
		o.cache.DirtyMax = o.cache.Entries / 2
	}
	return o
}

func (o options) open() (store.Store, error) {
	switch o.store {
	case "memory":
		return store.NewMemory(), nil
	case "none":
		return store.Nothing{}, nil
	}
	return nil, fmt.Errorf("-store: %q is neither memory nor none", o.store)
}

func serve(o options) error {
	store, err := o.open()
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", o.listen)
	if err != nil {
		return err
	}
	states := cache.New(o.cache, store)
	server := grpc.NewServer(
		grpc.MaxRecvMsgSize(messageBytesMax),
		grpc.NumStreamWorkers(uint32(o.workers)),
	)
	pb.RegisterReadStatesServiceServer(server, service.New(states))
	healthpb.RegisterHealthServer(server, health.NewServer())

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	flushing, flushed := context.WithCancel(context.Background())
	var flusher sync.WaitGroup
	flusher.Go(func() { states.Run(flushing) })
	context.AfterFunc(ctx, server.GracefulStop)

	fmt.Printf("listening grpc=%s procs=%d %s\n",
		listener.Addr(), runtime.GOMAXPROCS(0), runtime.Version())
	err = server.Serve(listener)
	flushed()
	flusher.Wait()
	return err
}
