package api

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/oubli-store/oubli/eventstore"
)

// finish writes the one line that every request has.
func (a *API) finish(w *writer, r *http.Request, c *call, took time.Duration) {
	route, method := "-", "other"
	if c.route != nil {
		route = c.route.Path
	}
	if slices.Contains(methods, r.Method) {
		method = r.Method
	}
	a.metrics.request(route, method, w.status, took)
	level := slog.LevelInfo
	if c.route != nil && w.status < http.StatusBadRequest && (c.route.Open != Nobody || c.route.Body == Stream) {
		level = slog.LevelDebug // probes, and what bots do all the time
	}
	a.Log.LogAttrs(r.Context(), level, "request", slog.String("method", method), slog.String("route", route), slog.Int("status", w.status),
		slog.Duration("took", took), slog.String("tenant", string(c.tenant)), slog.String("token", string(c.token.ID)))
}

// logError writes what the answer does not say.
func (a *API) logError(r *http.Request, c *call, err error) {
	route := "-"
	if c.route != nil {
		route = c.route.Path
	}
	a.Log.LogAttrs(r.Context(), slog.LevelError, "request failed", slog.String("route", route),
		slog.String("tenant", string(c.tenant)), slog.String("token", string(c.token.ID)), slog.String("error", Describe(err)))
}

// recovered turns a panic into a 500; the log gets where it happened, not what was in the values. It says whether the connection must be
// broken off, because the answer had begun.
func (a *API) recovered(w *writer, r *http.Request, c *call, v any) (broken bool) {
	if v == any(http.ErrAbortHandler) {
		return true
	}
	a.logPanic(r, c, v)
	if w.status != 0 {
		return true
	}
	problemOf(errInternal).write(w)
	return false
}

// logPanic says where a panic happened.
func (a *API) logPanic(r *http.Request, c *call, v any) {
	what := fmt.Sprintf("%T", v)
	if _, bug := v.(runtime.Error); bug {
		what = "runtime error"
	}
	a.Log.LogAttrs(r.Context(), slog.LevelError, "panic", slog.String("type", what), slog.String("at", frames()),
		slog.String("tenant", string(c.tenant)), slog.String("token", string(c.token.ID)))
}

// frames lists the functions and lines of the goroutine that panicked: without arguments, which a stack trace would show.
func frames() string {
	pcs := make([]uintptr, 32)
	it := runtime.CallersFrames(pcs[:runtime.Callers(4, pcs)])
	var b strings.Builder
	for {
		f, more := it.Next()
		b.WriteString(f.Function + ":" + strconv.Itoa(f.Line) + " ")
		if !more {
			return strings.TrimSpace(b.String())
		}
	}
}

// sentinels may be printed: their texts are the program's own.
var sentinels = []error{eventstore.ErrDamaged, eventstore.ErrKeyLost, eventstore.ErrNewerVersion, eventstore.ErrInUse,
	context.Canceled, context.DeadlineExceeded, fs.ErrClosed}

// Describe says of an error what may stand in a log: its types from the outside in, and the texts of those whose text cannot hold
// something that was sent: problems, sentinels, system error codes and the files of the data directory.
func Describe(err error) string {
	var b strings.Builder
	describeTo(&b, err, 0)
	return b.String()
}

func describeTo(b *strings.Builder, err error, depth int) {
	if err == nil || depth > 16 {
		return
	}
	if depth > 0 {
		b.WriteString(" < ")
	}
	var path *fs.PathError
	switch p, isProblem := err.(*eventstore.Problem); {
	case isProblem:
		b.WriteString(p.Error())
	case reflect.TypeOf(err).Comparable() && slices.Contains(sentinels, err):
		b.WriteString(err.Error())
		return
	case errors.As(err, &path) && error(path) == err:
		fmt.Fprintf(b, "%s %s", path.Op, path.Path)
	default:
		if code, ok := err.(syscall.Errno); ok {
			b.WriteString(code.Error())
			return
		}
		fmt.Fprintf(b, "%T", err)
	}
	switch e := err.(type) {
	case interface{ Unwrap() error }:
		describeTo(b, e.Unwrap(), depth+1)
	case interface{ Unwrap() []error }:
		for _, inner := range e.Unwrap() {
			describeTo(b, inner, depth+1)
		}
	}
}
