package main

import (
	"context"
	"fmt"
	"syscall"
	"time"

	"github.com/hashicorp/consul/api"
)

// certain is how many answers of v1 in a row say that v2 gets none any more: half of them would be v2's.
const certain = 50

// sicken is the first half of step 5: v2 gets no calls while its health check fails.
func (s *story) sicken(ctx context.Context) error {
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
	say("v2 answers its health check with 503; %d ms after Consul said so, v2 had got its last call",
		max(0, last.Sub(at).Milliseconds()))
	if err := s.v2.Signal(syscall.SIGUSR1); err != nil {
		return err
	}
	if err := s.caller.waitBoth(ctx); err != nil {
		return err
	}
	say("v2 is healthy again, and gets calls again")
	return nil
}

// awaitCritical returns when Consul no longer counts v2 among the healthy instances.
func (s *story) awaitCritical(ctx context.Context) error {
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

// callUntilAlone calls without a break until, after Consul noticed, only v1 answers. It returns when v2's last
// answer came. v2 still answers all this while, so that no call may fail.
func (s *story) callUntilAlone(ctx context.Context, noticed <-chan error) (last time.Time, err error) {
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

// stopConsul is the second half of step 5: without Consul the mesh goes on with what it knows.
func (s *story) stopConsul(ctx context.Context) error {
	s.consul.Stop()
	say("Consul is stopped")
	answers, err := s.caller.calls(ctx, 200)
	if err != nil {
		return err
	}
	if len(answers) != 2 {
		return fmt.Errorf("without Consul, answers came from %v only", answers)
	}
	say("200 calls: none failed, %d answered by v1, %d by v2", answers["v1"], answers["v2"])
	return nil
}

// restartConsul brings Consul back, where it was stopped, with what it knew.
func (s *story) restartConsul(ctx context.Context) error {
	if s.noEnvoy != nil {
		return nil
	}
	if err := s.consul.Restart(ctx); err != nil {
		return err
	}
	return s.waitHealth(ctx, "passing", "passing")
}
