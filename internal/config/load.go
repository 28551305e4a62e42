package config

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"

	"sigs.k8s.io/yaml"

	"github.com/isthmus-mesh/isthmus/internal/safefile"
)

// MaxFileSize limits the size of a configuration file, in bytes. A ConfigMap has at most 1 MiB.
const MaxFileSize = 4 << 20

// Read returns the content of a configuration file.
func Read(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	defer file.Close()
	content, err := safefile.ReadAll(file, MaxFileSize)
	if err != nil {
		return nil, fmt.Errorf("configuration %s: %w", path, err)
	}
	return content, nil
}

// Load reads and validates a configuration file. Errors name the file and the entry.
func Load(path string) (Config, error) {
	content, err := Read(path)
	if err != nil {
		return Config{}, err
	}
	c, err := Parse(content)
	if err != nil {
		return Config{}, fmt.Errorf("configuration %s: %w", path, err)
	}
	return c, nil
}

// Parse parses and validates a configuration. Unknown entries are errors, which catches misspelled names.
func Parse(content []byte) (Config, error) {
	c := Default()
	if len(bytes.TrimSpace(content)) > 0 {
		if err := yaml.UnmarshalStrict(content, &c); err != nil {
			return Config{}, errors.New(plain(err))
		}
	}
	return c, c.Validate()
}

// UnmarshalJSON parses a source over the defaults.
func (s *Source) UnmarshalJSON(data []byte) error {
	if err := checkUnsupported(data); err != nil {
		return err
	}
	type bare Source
	source := bare(DefaultSource())
	if err := strict(data, &source); err != nil {
		return err
	}
	*s = Source(source)
	return nil
}

// HasSource reports whether the configuration has a source of that name.
func (c Config) HasSource(name string) bool {
	return slices.ContainsFunc(c.Sources, func(s Source) bool { return s.Name == name })
}

// SlogLevel returns the level. The configuration must be valid.
func (l Log) SlogLevel() slog.Level {
	var level slog.Level
	_ = level.UnmarshalText([]byte(l.Level))
	return level
}
