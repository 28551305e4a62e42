package cli

import (
	"log/slog"

	"github.com/isthmus-mesh/isthmus/internal/config"
	"github.com/isthmus-mesh/isthmus/internal/vip"
)

// newAddresses returns the ranges of virtual addresses, and warns of those that istiod gives addresses of, too.
func newAddresses(c config.Config, log *slog.Logger) (vip.Options, error) {
	options, err := c.AddressOptions()
	for _, prefix := range options.IstiodOverlaps() {
		log.Warn("a range of virtual addresses overlaps the one of which istiod gives addresses by itself, so that two services may "+
			"get the same: choose another in virtualAddresses", "istiod's", prefix)
	}
	return options, err
}
