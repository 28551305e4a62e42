package faults

import "go.uber.org/goleak"

// Leftovers are the goroutines that toxiproxy can leave behind, for goleak: if a connection breaks while one of its
// pipes is full, the goroutine that writes to the pipe blocks forever.
func Leftovers() []goleak.Option {
	return []goleak.Option{
		goleak.IgnoreAnyFunction("github.com/Shopify/toxiproxy/v2.(*ToxicLink).read"),
		goleak.IgnoreAnyFunction("github.com/Shopify/toxiproxy/v2.(*ToxicLink).write"),
		goleak.IgnoreAnyFunction("github.com/Shopify/toxiproxy/v2/toxics.(*ToxicStub).Run"),
	}
}
