package client

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"unicode"

	"github.com/hashicorp/consul/api"

	"github.com/isthmus-mesh/isthmus/internal/filewatch"
)

// credentialFiles is a group of watched files and its name in the log.
type credentialFiles[T comparable] struct {
	name string
	filewatch.Loader[T]
}

// readToken returns the token in a file.
func readToken(file string) (string, error) {
	content, err := os.ReadFile(filepath.Clean(file))
	if err != nil {
		return "", fmt.Errorf("token file: %w", err)
	}
	token := strings.TrimSpace(string(content))
	switch {
	case token == "":
		return "", fmt.Errorf("token file %s is empty", file)
	// The error must not contain the token.
	case strings.ContainsFunc(token, func(r rune) bool { return r > unicode.MaxASCII || !unicode.IsGraphic(r) || r == ' ' }):
		return "", fmt.Errorf("token file %s does not contain a token", file)
	}
	return token, nil
}

// tlsFiles is the PEM content of the TLS files.
type tlsFiles struct{ ca, cert, key string }

// readTLS reads the files that a configuration names. The content of a file without a name is empty.
func readTLS(c api.TLSConfig) (tlsFiles, error) {
	var files tlsFiles
	var errs []error
	read := func(file string) string {
		if file == "" {
			return ""
		}
		content, err := os.ReadFile(filepath.Clean(file))
		errs = append(errs, err)
		return string(content)
	}
	files.ca, files.cert, files.key = read(c.CAFile), read(c.CertFile), read(c.KeyFile)
	if c.CAFile == "" && c.CAPath != "" {
		entries, err := os.ReadDir(c.CAPath)
		errs = append(errs, err)
		for _, entry := range entries {
			path := filepath.Join(c.CAPath, entry.Name())
			// A mounted secret is a directory of symbolic links with directories beside them.
			if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
				files.ca += read(path) + "\n"
			}
		}
	}
	return files, errors.Join(errs...)
}
