package jsonstream

import "io"

const null = "null"

// ElementLimits bounds the elements of an array.
type ElementLimits struct {
	// Elements is the largest number of elements.
	Elements int
	// Bytes is the largest size of the decoded form of one element.
	Bytes int64
}

// Elements reads an array and calls each with every element and an upper bound of the size of its decoded form. The element
// is valid during the call only. Null is an empty array.
func Elements(r io.Reader, limits ElementLimits, each func(element []byte, size int64) error) error {
	s := newScanner(r)
	if _, err := s.next(); err != nil {
		return err
	}
	if word, _ := s.in.Peek(len(null)); string(word) == null {
		return nil
	}
	if err := s.expect('['); err != nil {
		return err
	}
	reader, count := elementReader{scanner: s, limit: limits.Bytes}, 0
	return s.items(']', func() error {
		if count++; count > limits.Elements {
			return &LimitError{"the number of instances", int64(limits.Elements)}
		}
		if err := reader.read(); err != nil {
			return err
		}
		return each(reader.element, reader.cost.bytes)
	})
}

// elementReader reads one element after the other into the same memory.
type elementReader struct {
	*scanner
	element []byte
	cost    cost
	limit   int64
}

// read reads the next element.
func (r *elementReader) read() error {
	r.element, r.cost = r.element[:0], cost{}
	tooLarge := &LimitError{"the decoded size of one instance", r.limit}
	return r.value(func(part []byte) error {
		if r.cost.add(part); r.cost.bytes > r.limit {
			return tooLarge
		}
		r.element = append(r.element, part...)
		return nil
	})
}
