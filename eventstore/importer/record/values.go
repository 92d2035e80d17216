package record

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/nyaruka/phonenumbers"

	"github.com/oubli-store/oubli/eventstore"
)

// ErrType says that a member of a document has a type that the format does not know.
var ErrType = eventstore.Refuse(eventstore.KindInvalid, "", "a member of the document has the wrong type")

// ErrTime says that a document's time cannot be read.
var ErrTime = eventstore.Refuse(eventstore.KindInvalid, "time", "this is not a time in the years 1970 to 2199")

// Decode reads a document into v. The error is [ErrType].
func Decode(raw []byte, v any) error {
	if err := json.Unmarshal(raw, v); err != nil {
		return ErrType
	}
	return nil
}

// Digest is a hash of its parts, unambiguous about where one ends: 24 characters of URL-safe base64 (144 bits of SHA-256).
func Digest(parts ...string) string {
	h := sha256.New()
	var n [8]byte
	for _, p := range parts {
		binary.BigEndian.PutUint64(n[:], uint64(len(p)))
		h.Write(n[:])
		h.Write([]byte(p))
	}
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:18])
}

// window is how many distinct keys one half of [Repeats] remembers.
const window = 1 << 15

// Repeats tells exact repeats apart: the first time a key stays as it is, then it gets "-2", "-3" … in the order of the
// input, so that the same input gives the same keys. It remembers at least the last 32,768 distinct keys; a repeat from
// farther away than that counts as the same event again.
type Repeats struct{ now, before map[string]int }

// Distinct returns key, made distinct from earlier ones.
func (r *Repeats) Distinct(key string) string {
	n, known := r.now[key]
	if !known {
		n = r.before[key]
	}
	n++
	if r.now == nil || (!known && len(r.now) >= window) {
		r.before, r.now = r.now, make(map[string]int, 64)
	}
	r.now[key] = n
	if n == 1 {
		return key
	}
	return key + "-" + strconv.Itoa(n)
}

// Scalar reads a string or a number as a string, without a detour through a float64; also as MongoDB exports them
// ({"$numberLong": "…"}, {"$oid": "…"}). Anything else is not ok; null is empty.
func Scalar(raw json.RawMessage) (v string, ok bool) {
	if len(raw) == 0 || string(raw) == "null" {
		return "", true
	}
	switch c := raw[0]; {
	case c == '"':
		return v, json.Unmarshal(raw, &v) == nil
	case c == '-' || c >= '0' && c <= '9':
		return string(raw), true
	case c == '{':
		var m map[string]json.RawMessage
		if json.Unmarshal(raw, &m) != nil || len(m) != 1 {
			return "", false
		}
		for k, inner := range m {
			if strings.HasPrefix(k, "$") && len(inner) > 0 && inner[0] != '{' {
				return Scalar(inner)
			}
		}
	}
	return "", false
}

// Time reads a time: seconds since 1970 with a fraction (a number or a string), or RFC 3339. The result is exact to the
// microsecond; null is the zero time.
func Time(raw json.RawMessage) (time.Time, error) {
	v, ok := Scalar(raw)
	if !ok {
		return time.Time{}, ErrTime
	}
	if v == "" {
		return time.Time{}, nil
	}
	if t, err := time.Parse(time.RFC3339Nano, v); err == nil {
		return inRange(t.UTC())
	}
	for _, layout := range []string{"2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999"} { // no zone: UTC
		if t, err := time.Parse(layout, v); err == nil {
			return inRange(t)
		}
	}
	return seconds(v)
}

// seconds reads decimal seconds, rounded to the nearest microsecond.
func seconds(v string) (time.Time, error) {
	if strings.ContainsAny(v, "eE") {
		f, err := strconv.ParseFloat(v, 64)
		if err != nil || !(math.Abs(f) < 1e12) {
			return time.Time{}, ErrTime
		}
		return inRange(time.UnixMicro(int64(math.Round(f * 1e6))).UTC())
	}
	whole, fraction, _ := strings.Cut(v, ".")
	s, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || s < 0 || s > 1e12 {
		return time.Time{}, ErrTime
	}
	nanos := int64(0)
	if fraction != "" {
		if len(fraction) > 9 {
			fraction = fraction[:9]
		}
		n, err := strconv.ParseUint(fraction, 10, 63)
		if err != nil {
			return time.Time{}, ErrTime
		}
		nanos = int64(n) * int64(math.Pow10(9-len(fraction)))
	}
	return inRange(time.Unix(s, nanos).UTC().Round(time.Microsecond))
}

func inRange(t time.Time) (time.Time, error) {
	if t.Year() < 1970 || t.Year() > 2199 {
		return time.Time{}, ErrTime
	}
	return t.Round(time.Microsecond), nil
}

var (
	mail   = regexp.MustCompile(`^[^\s@"(),:;<>\[\]\\]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)+$`)
	number = regexp.MustCompile(`^(?:\+[1-9][0-9 .()-]{6,18}[0-9]|[1-9][0-9]{10,12})$`)
)

// Handle makes the identity of an id: an e-mail address under "email", an international phone number under "phone" (with a
// plus sign and of a possible length, or 11 to 13 bare digits, as WhatsApp writes them, that are valid by their country's
// plan), anything else under fallback. An empty id is nobody.
func Handle(fallback, id string) *eventstore.Identity {
	switch {
	case id == "":
		return nil
	case len(id) <= 254 && mail.MatchString(id):
		return &eventstore.Identity{Namespace: "email", ID: strings.ToLower(id)}
	}
	if e164, ok := phone(id); ok {
		return &eventstore.Identity{Namespace: "phone", ID: e164}
	}
	return &eventstore.Identity{Namespace: fallback, ID: id}
}

func phone(id string) (string, bool) {
	if !number.MatchString(id) {
		return "", false
	}
	bare := id[0] != '+'
	if bare {
		id = "+" + id
	}
	n, err := phonenumbers.Parse(id, "")
	if err != nil || !phonenumbers.IsPossibleNumber(n) || bare && !phonenumbers.IsValidNumber(n) {
		return "", false
	}
	return phonenumbers.Format(n, phonenumbers.E164), true
}

// Namespace turns a foreign name into a namespace, or fallback when nothing of it can be used or when the name promises a
// form of its own (email, phone) or is reserved (conversation).
func Namespace(name, fallback string) string {
	b := make([]byte, 0, 32)
	for _, c := range []byte(strings.ToLower(name)) {
		switch {
		case c >= 'a' && c <= 'z', len(b) > 0 && (c >= '0' && c <= '9' || c == '_' || c == '-'):
			b = append(b, c)
		case len(b) > 0 && c < 0x80:
			b = append(b, '-')
		}
		if len(b) == 32 {
			break
		}
	}
	switch ns := string(b); ns {
	case "", "email", "phone", "conversation":
		return fallback
	default:
		return ns
	}
}

var tag = regexp.MustCompile(`^[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{2,8})*$`)

// Language brings a language tag into its usual case (en-us and EN_US are en-US), or returns "" for what is none.
func Language(v string) string {
	if len(v) > 35 || !tag.MatchString(v) {
		return ""
	}
	parts := strings.Split(strings.ReplaceAll(strings.ToLower(v), "_", "-"), "-")
	for i, p := range parts[1:] {
		switch len(p) {
		case 2:
			parts[i+1] = strings.ToUpper(p)
		case 4:
			parts[i+1] = strings.ToUpper(p[:1]) + p[1:]
		}
	}
	return strings.Join(parts, "-")
}

// Clip cuts v to at most n bytes, at a code point.
func Clip(v string, n int) string {
	v, _ = cutText(v, n)
	return v
}
