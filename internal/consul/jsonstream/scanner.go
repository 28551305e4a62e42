package jsonstream

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
)

// bufferSize is the size of the buffer of a scanner. A longer text is scanned in parts.
const bufferSize = 64 << 10

// maxDepth bounds the nesting of a value that is skipped.
const maxDepth = 64

// ErrInvalid means that a text is not the expected JSON.
var ErrInvalid = errors.New("invalid JSON")

// errDepth means that a value is nested too deeply.
var errDepth = fmt.Errorf("%w: nested too deeply", ErrInvalid)

// scanner splits JSON into parts without keeping them. It checks the structure as far as it needs it.
type scanner struct {
	in *bufio.Reader
	// one is the part of a single byte.
	one [1]byte
}

var quote = []byte{'"'}

func newScanner(r io.Reader) *scanner { return &scanner{in: bufio.NewReaderSize(r, bufferSize)} }

// next returns the next byte that is not white space, without consuming it.
func (s *scanner) next() (byte, error) {
	for {
		b, err := s.in.ReadByte()
		if err != nil {
			return 0, unexpectedEnd(err)
		}
		switch b {
		case ' ', '\t', '\r', '\n':
		default:
			return b, s.in.UnreadByte()
		}
	}
}

// take consumes the next byte that is not white space and returns it.
func (s *scanner) take() (byte, error) {
	if _, err := s.next(); err != nil {
		return 0, err
	}
	return s.in.ReadByte()
}

// expect consumes one byte, which must be b.
func (s *scanner) expect(b byte) error {
	if got, err := s.take(); err != nil {
		return err
	} else if got != b {
		return fmt.Errorf("%w: %q instead of %q", ErrInvalid, got, b)
	}
	return nil
}

// items reads the items of an array or an object, after its first byte, up to its end. item reads one of them.
func (s *scanner) items(end byte, item func() error) error {
	if b, err := s.next(); err != nil {
		return err
	} else if b == end {
		return nil
	}
	for {
		if err := item(); err != nil {
			return err
		}
		b, err := s.take()
		switch {
		case err != nil:
			return err
		case b == end:
			return nil
		case b != ',':
			return fmt.Errorf("%w: %q instead of ',' or %q", ErrInvalid, b, end)
		}
	}
}

// text reads a string without its quotes and passes its parts to write, as they are written in the JSON. It reports
// whether the string has escapes.
func (s *scanner) text(write func(part []byte) error) (escapes bool, err error) {
	if err := s.expect('"'); err != nil {
		return false, err
	}
	escaped := false // the next byte belongs to an escape
	for {
		part, err := s.buffered()
		if err != nil {
			return false, err
		}
		end := 0
		for end < len(part) && (escaped || part[end] != '"') {
			escaped = !escaped && part[end] == '\\'
			escapes = escapes || escaped
			end++
		}
		if err := write(part[:end]); err != nil {
			return false, err
		}
		if end < len(part) {
			return escapes, s.discard(end + 1)
		}
		if err := s.discard(end); err != nil {
			return false, err
		}
	}
}

// buffered returns what is in the buffer, at least one byte.
func (s *scanner) buffered() ([]byte, error) {
	if _, err := s.in.Peek(1); err != nil {
		return nil, unexpectedEnd(err)
	}
	return s.in.Peek(s.in.Buffered())
}

func (s *scanner) discard(n int) error {
	_, err := s.in.Discard(n)
	return unexpectedEnd(err)
}

// value reads a value of any kind and passes its parts to write, without white space.
func (s *scanner) value(write func(part []byte) error) error {
	for depth, empty := 0, true; ; empty = false {
		b, err := s.next()
		if err != nil {
			return err
		}
		switch {
		case b == '"':
			err = s.quoted(write)
		case depth == 0 && strings.IndexByte(",:]}", b) >= 0:
			if empty {
				err = fmt.Errorf("%w: %q instead of a value", ErrInvalid, b)
			}
			return err
		default:
			s.one[0] = b
			if err = write(s.one[:]); err == nil {
				err = s.discard(1)
			}
		}
		switch b {
		case '[', '{':
			depth++
		case ']', '}':
			depth--
		}
		switch {
		case err != nil:
			return err
		case depth > maxDepth:
			return errDepth
		case depth == 0 && strings.IndexByte("\"]}", b) >= 0:
			return nil
		}
	}
}

// quoted passes a string with its quotes to write.
func (s *scanner) quoted(write func(part []byte) error) error {
	if err := write(quote); err != nil {
		return err
	}
	if _, err := s.text(write); err != nil {
		return err
	}
	return write(quote)
}

// unexpectedEnd returns the error of a stream that ends within a value.
func unexpectedEnd(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
