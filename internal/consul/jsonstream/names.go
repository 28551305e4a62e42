package jsonstream

import (
	"encoding/json"
	"fmt"
	"hash/maphash"
	"io"
)

// MaxName is the length of the longest name that Names passes on, in bytes. A longer one cannot be part of a request:
// Consul's HTTP server bounds the header.
const MaxName = 16 << 10

// seed is the seed of all digests of this process.
var seed = maphash.MakeSeed()

// Names reads an object whose members are arrays of tags, as Consul's list of services. It calls each with every name
// and a digest of its tags that does not depend on their order. The name is valid during the call only; a name longer
// than MaxName is nil.
func Names(r io.Reader, each func(name []byte, tags uint64)) error {
	s := newScanner(r)
	reader := &nameReader{scanner: s}
	if err := s.expect('{'); err != nil {
		return err
	}
	return s.items('}', func() error { return reader.member(each) })
}

// nameReader reads the members of the object.
type nameReader struct {
	*scanner
	// name is the name as written in the JSON, with its quotes.
	name []byte
	// hash is that of one tag.
	hash maphash.Hash
}

func (r *nameReader) member(each func(name []byte, tags uint64)) error {
	r.name = append(r.name[:0], '"')
	long := false
	escapes, err := r.text(func(part []byte) error {
		if long = long || len(r.name)+len(part) > MaxName; !long {
			r.name = append(r.name, part...)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := r.expect(':'); err != nil {
		return err
	}
	digest, err := r.tags()
	if err != nil {
		return err
	}
	if long {
		each(nil, digest)
		return nil
	}
	name := r.name[1:]
	if escapes || !plain(name) {
		if name, err = unquote(append(r.name, '"')); err != nil {
			return err
		}
	}
	each(name, digest)
	return nil
}

// plain reports whether a string has no byte that JSON decodes to something else: no control characters and ASCII only.
func plain(text []byte) bool {
	for _, b := range text {
		if b < 0x20 || b >= 0x80 {
			return false
		}
	}
	return true
}

func unquote(quoted []byte) ([]byte, error) {
	var text string
	if err := json.Unmarshal(quoted, &text); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return []byte(text), nil
}

// tags reads the tags of a service: an array, or null. It returns their digest.
func (r *nameReader) tags() (digest uint64, err error) {
	b, err := r.next()
	if err != nil {
		return 0, err
	}
	if b != '[' {
		return r.element()
	}
	if err := r.discard(1); err != nil {
		return 0, err
	}
	for {
		if b, err := r.next(); err != nil {
			return 0, err
		} else if b == ']' {
			return digest, r.discard(1)
		}
		element, err := r.element()
		if err != nil {
			return 0, err
		}
		digest += element // the order of the tags is random
		if b, err := r.next(); err != nil {
			return 0, err
		} else if b == ',' {
			err = r.discard(1)
			if err != nil {
				return 0, err
			}
		} else if b != ']' {
			return 0, fmt.Errorf("%w: a tag is not followed by another one", ErrInvalid)
		}
	}
}

// element returns the hash of one value.
func (r *nameReader) element() (uint64, error) {
	r.hash.SetSeed(seed)
	if err := r.value(func(part []byte) error { _, err := r.hash.Write(part); return err }); err != nil {
		return 0, err
	}
	return r.hash.Sum64(), nil
}
