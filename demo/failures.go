package main

import (
	"context"
	"fmt"
	"syscall"
	"time"

	"github.com/hashicorp/consul/api"
)

// certain is the number of consecutive responses of v1 that prove that v2 gets no requests. With v2 in use, half of
// them would come from v2.
const certain = 50

// failHealthCheck is the first half of step 6. It verifies that v2 gets no calls while its health check fails.
func (s *scenario) failHealthCheck(ctx context.Context) error {
	if err := s.caller.waitBoth(ctx); err != nil {
		return err
	}
	noticed := make(chan error, 1)
	var at time.Time
	go func() {
		err := s.awaitCritical(ctx)
		at = time.Now()
		noticed <- err
	}()
	if err := s.v2.Signal(syscall.SIGUSR1); err != nil {
		return err
	}
	last, err := s.callUntilAlone(ctx, noticed)
	if err != nil {
		return err
	}
	say("v2 fails its health check (503); it got its last call %d ms after Consul reported it",
		max(0, last.Sub(at).Milliseconds()))
	if err := s.v2.Signal(syscall.SIGUSR1); err != nil {
		return err
	}
	if err := s.caller.waitBoth(ctx); err != nil {
		return err
	}
	say("v2 is healthy again and gets calls again")
	return nil
}

// awaitCritical returns when Consul reports v2 as unhealthy.
func (s *scenario) awaitCritical(ctx context.Context) error {
	client, query := s.consul.Client(), (&api.QueryOptions{}).WithContext(ctx)
	for {
		healthy, meta, err := client.Health().Service(service, "", true, query)
		if err != nil {
			return err
		}
		if len(healthy) == 1 {
			return nil
		}
		query.WaitIndex = meta.LastIndex
	}
}

// callUntilAlone calls the service until Consul has reported v2 as unhealthy and only v1 responds. It returns the time
// of the last response of v2. No call may fail, because v2 still responds.
func (s *scenario) callUntilAlone(ctx context.Context, noticed <-chan error) (last time.Time, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for known, inARow := false, 0; !known || inARow < certain; inARow++ {
		version, err := s.caller.call(ctx, host)
		if err != nil {
			return last, err
		}
		if version == "v2" {
			last, inARow = time.Now(), 0
		}
		select {
		case err := <-noticed:
			if err != nil {
				return last, fmt.Errorf("watch Consul: %w", err)
			}
			known = true
		default:
		}
	}
	return last, nil
}

// stopConsul is the second half of step 6. It verifies that without Consul the mesh keeps the last known state.
func (s *scenario) stopConsul(ctx context.Context) error {
	s.consul.Stop()
	say("Consul is stopped")
	answers, err := s.caller.calls(ctx, 200)
	if err != nil {
		return err
	}
	if len(answers) != 2 {
		return fmt.Errorf("without Consul only %v responded", answers)
	}
	say("200 calls: none failed, %d answered by v1, %d by v2", answers["v1"], answers["v2"])
	return nil
}

// restartConsul starts Consul again with its data.
func (s *scenario) restartConsul(ctx context.Context) error {
	if s.envoyMissing() {
		return nil
	}
	if err := s.consul.Restart(ctx); err != nil {
		return err
	}
	return s.waitHealth(ctx, "passing", "passing")
}
