package faults

import "go.uber.org/goleak"

// Leftovers are goroutines that toxiproxy can leave behind, for goleak: where a connection breaks while one of its pipes
// is full, whoever waits at that pipe waits for ever.
func Leftovers() []goleak.Option {
	return []goleak.Option{
		goleak.IgnoreAnyFunction("github.com/Shopify/toxiproxy/v2.(*ToxicLink).read"),
		goleak.IgnoreAnyFunction("github.com/Shopify/toxiproxy/v2.(*ToxicLink).write"),
		goleak.IgnoreAnyFunction("github.com/Shopify/toxiproxy/v2/toxics.(*ToxicStub).Run"),
	}
}
