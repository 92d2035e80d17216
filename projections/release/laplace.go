package release

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
)

// Laplace draws from discrete Laplace distributions. It is not safe for concurrent use.
type Laplace struct {
	// random gives uniform bytes: crypto/rand.Reader but in tests.
	random io.Reader
	buffer [8]byte
}

// NewLaplace draws from random, which must be crypto/rand.Reader but in tests.
func NewLaplace(random io.Reader) *Laplace { return &Laplace{random: random} }

// maxScale keeps products of a scale within 64 bits.
const maxScale = 1 << 40

var errScale = errors.New("release: a scale of noise is zero or too large")

// Draw is x with probability proportional to e^(-|x|·under/over): noise of the scale over/under. The scale must not be zero, and both at most 2^40.
//
// U + over·V below is geometric with ratio e^(-1/over); its quotient by under is geometric with ratio e^(-under/over); a random sign, with one of the two
// zeros drawn again, makes it two-sided. Algorithm 2 of Canonne, Kamath and Steinke.
func (l *Laplace) Draw(over, under uint64) (int64, error) {
	if over == 0 || under == 0 || over > maxScale || under > maxScale {
		return 0, errScale
	}
	for {
		u, err := l.below(over)
		if err != nil {
			return 0, err
		}
		if ok, err := l.expBelowOne(u, over); err != nil {
			return 0, err
		} else if !ok {
			continue
		}
		v := uint64(0)
		for {
			more, err := l.expBelowOne(1, 1)
			if err != nil {
				return 0, err
			}
			if !more {
				break
			}
			if v++; v > math.MaxInt64/maxScale-1 {
				return 0, errors.New("release: the source of randomness is broken")
			}
		}
		y := int64((u + over*v) / under)
		negative, err := l.below(2)
		if err != nil {
			return 0, err
		}
		switch {
		case negative == 0:
			return y, nil
		case y != 0:
			return -y, nil
		}
	}
}

// expBelowOne is true with probability e^(-n/d), for 0 ≤ n ≤ d. Algorithm 1 of Canonne, Kamath and Steinke.
func (l *Laplace) expBelowOne(n, d uint64) (bool, error) {
	for k := uint64(1); ; k++ {
		if k > math.MaxUint64/maxScale-1 { // reached with probability 1/k! alone
			return false, errors.New("release: the source of randomness is broken")
		}
		x, err := l.below(d * k)
		if err != nil {
			return false, err
		}
		if x >= n {
			return k%2 == 1, nil
		}
	}
}

// below is uniform in [0, n). n is not 0.
func (l *Laplace) below(n uint64) (uint64, error) {
	for {
		if _, err := io.ReadFull(l.random, l.buffer[:]); err != nil {
			return 0, fmt.Errorf("release: drawing noise: %w", err)
		}
		x := binary.BigEndian.Uint64(l.buffer[:])
		// Of the 2^64 values those above the last whole multiple of n are drawn again.
		if x < math.MaxUint64-math.MaxUint64%n {
			return x % n, nil
		}
	}
}
