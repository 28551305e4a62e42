package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/isthmus-mesh/isthmus/test/testbed"
)

// caller is the consumer: an HTTP client whose requests go through its sidecar.
type caller struct{ client *http.Client }

func newCaller(envoy *testbed.Envoy) *caller {
	client := envoy.Client()
	client.Timeout = 10 * time.Second
	return &caller{client}
}

// call sends one request to the service at a host, with or without a port, and returns the version in the response.
func (c *caller) call(ctx context.Context, host string) (version string, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+host+page, nil)
	if err != nil {
		return "", err
	}
	response, err := c.client.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s: %s", request.URL, response.Status)
	}
	var body struct {
		Version string `json:"version"`
	}
	err = json.NewDecoder(response.Body).Decode(&body)
	return body.Version, err
}

// calls sends a number of requests and counts the responses of each version. No request may fail.
func (c *caller) calls(ctx context.Context, times int) (map[string]int, error) {
	answers := map[string]int{}
	for range times {
		version, err := c.call(ctx, host)
		if err != nil {
			return nil, err
		}
		answers[version]++
	}
	return answers, nil
}

// waitBoth waits until both versions respond and no request fails.
func (c *caller) waitBoth(ctx context.Context) error {
	return testbed.Poll(ctx, time.Minute, func(ctx context.Context) error {
		answers, err := c.calls(ctx, 20)
		if err == nil && len(answers) != 2 {
			err = fmt.Errorf("only %v responded", answers)
		}
		return err
	})
}
