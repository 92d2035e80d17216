package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/oubli-store/oubli/cmd/internal/access"
	"github.com/oubli-store/oubli/cmd/internal/api"
	"github.com/oubli-store/oubli/cmd/internal/backup"
	"github.com/oubli-store/oubli/cmd/internal/checkpoint"
	"github.com/oubli-store/oubli/cmd/internal/settings"
	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/door"
	"github.com/oubli-store/oubli/eventstore/ledger"
	"github.com/oubli-store/oubli/eventstore/rights"
	"github.com/oubli-store/oubli/keyvault"
	"github.com/oubli-store/oubli/keyvault/kms"
	"github.com/oubli-store/oubli/keyvault/register"
	"github.com/oubli-store/oubli/projections"
	"github.com/oubli-store/oubli/streams"
	"github.com/oubli-store/oubli/streams/natsembed"
)

// Server is a running server. It is safe for concurrent use.
type Server struct {
	c    Config
	data *dataDir

	vault    *keyvault.Vault
	nats     *natsembed.Server
	conn     *nats.Conn
	log      streams.Config // how log/ is opened
	streams  *streams.Streams
	door     eventstore.Door
	store    *eventstore.Store
	ledger   *ledger.Ledger
	signer   *ledger.Signer
	keeper   *checkpoint.Keeper // nil: no checkpoint is kept outside
	tokens   *access.Tokens
	settings *tenantSettings
	figures  *projections.Projections
	rights   *rights.Service
	api      *api.API
	registry *prometheus.Registry
	http     *http.Server
	listener net.Listener

	// work ends when the runners shall; running counts them.
	work    context.Context
	running sync.WaitGroup
	// closers end what was started, the last one first.
	closers []closer
	stop    sync.Once
	stopErr error
	// whole says that the start came to its end, disorderly that a part did not stop as it should.
	whole, disorderly bool
	// ended is closed when the server has stopped serving; failure says why, if nobody asked for it.
	ended   chan struct{}
	failure error

	mu      sync.Mutex
	tenants map[eventstore.TenantID]*tenant
	// changing is held while a tenant is made or erased.
	changing sync.Mutex
	// backingUp is held while a backup is made; backups is their schedule, nil without one.
	backingUp sync.Mutex
	backups   *backup.Schedule
}

// closer ends one part within the time of its context.
type closer struct {
	part string
	end  func(context.Context) error
}

func (s *Server) atStop(part string, end func(context.Context) error) {
	s.closers = append(s.closers, closer{part, end})
}

// Start starts a server and returns once it answers. ctx bounds the start only. Errors: ErrInUse, ErrNewerVersion, ErrDamaged, and others
// that say what is wrong and what to do.
func Start(ctx context.Context, c Config) (*Server, error) {
	c = c.withDefaults()
	ctx, cancel := context.WithTimeout(ctx, c.StartWithin)
	defer cancel()
	s := &Server{c: c, ended: make(chan struct{}), tenants: map[eventstore.TenantID]*tenant{}}
	if err := s.start(ctx); err != nil {
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopWithin)
		defer cancel()
		_ = s.Stop(bounded) // what it could not close is closed by the end of the process
		return nil, explain(err)
	}
	return s, nil
}

func (s *Server) start(ctx context.Context) error {
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s.work = work
	for _, step := range []func(context.Context) error{s.openData, s.openVault, s.openStreams, s.openRooms, s.openCheckpoint, s.openTenants, s.noteLost, s.openAccess, s.openBackups} {
		if err := step(ctx); err != nil {
			cancel()
			return err
		}
	}
	s.atStop("runners", func(ctx context.Context) error {
		cancel()
		return within(ctx, func() error { s.running.Wait(); return nil })
	})
	s.run()
	if err := s.keepCheckpoint(ctx); err != nil {
		return err
	}
	s.runBackups()
	if err := s.openAPI(); err != nil {
		return err
	}
	if err := s.openService(); err != nil {
		return err
	}
	if err := s.listen(); err != nil {
		return err
	}
	s.whole = true
	return nil
}

func (s *Server) openData(context.Context) error {
	var err error
	if s.data, err = openData(s.c.Data); err != nil {
		return err
	}
	if err := s.data.unstamp(s.c.asItIs); err != nil {
		return errors.Join(err, s.data.Close())
	}
	s.atStop("data directory", s.closeData)
	for _, weak := range s.c.WeakRoots() {
		s.c.Log.Warn(weak)
	}
	return nil
}

func (s *Server) openVault(ctx context.Context) error {
	var err error
	dirs := s.c.RootDirs()
	s.vault, err = keyvault.Open(ctx, keyvault.Config{Dir: s.data.in("vault"), Roots: dirs[0], RootCopies: dirs[1:], RootsLost: s.c.RootsLost, KEK: s.c.KEK, KEKFile: s.data.in("kek"),
		KMS: kms.Clients(), Now: s.c.Now, Create: s.data.fresh})
	if err != nil {
		return fmt.Errorf("opening the vault: %w", err)
	}
	s.atStop("vault", func(ctx context.Context) error { return within(ctx, s.vault.Close) })
	return nil
}

func (s *Server) openRooms(context.Context) error {
	gate := door.New(settings.Defaults().Rules())
	s.door = gate
	s.ledger = ledger.New(s.streams)
	s.settings = &tenantSettings{Tenants: settings.NewTenants(s.vault), door: gate, keep: s.c.Keep()}
	s.store = eventstore.New(eventstore.Config{Keys: s.vault, Log: s.streams, Door: s.door, Ledger: s.ledger, Now: s.c.Now, Oldest: s.settings.oldest(s.c.Now),
		Chunks: s.streams.Chunks(), Meta: s.vault, Limits: s.settings.attachments})
	s.signer = ledger.NewSigner(s.vault.Vault(), s.vault, nil)
	s.tokens = access.New(s.vault, s.c.Now)
	s.registry = prometheus.NewRegistry()
	s.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	var err error
	s.figures, err = projections.Open(projections.Config{Dir: s.data.in("projections"), Store: s.store, Keys: s.vault, Settings: s.settings.analytics, Now: s.c.Now,
		Records: s.streams, Ledger: book{s.ledger}})
	if err != nil {
		return rebuildable(s.data.in("projections"), fmt.Errorf("opening the projections: %w", err))
	}
	s.registry.MustRegister(following{s.figures})
	s.atStop("projections", func(ctx context.Context) error { return within(ctx, s.figures.Close) })
	s.rights = rights.New(rights.Config{Keys: s.vault, Meta: s.vault, Log: s.streams, Chunks: s.streams.Chunks(), Ledger: s.ledger, Store: s.store, Passed: s.figures.Passed,
		Zone: func(id eventstore.TenantID) *time.Location { return s.settings.analytics(id).Zone }, Retention: s.settings.retention, Now: s.c.Now, Logger: s.c.Log,
		Certifier: ledger.NewCertifier(s.ledger, s.signer), BackupsUntil: s.backupsUntil, ClosePeriods: s.closePeriods,
		AnswerWithin: s.settings.answerWithin, FourEyes: s.settings.fourEyes, Owner: s.owner})
	s.registry.MustRegister(requests{s})
	return nil
}

// rebuildable says of damaged projections that they can be made anew.
func rebuildable(dir string, err error) error {
	if errors.Is(err, eventstore.ErrDamaged) {
		return fmt.Errorf("%w; the projections can be made anew from the events: move %s away, whole, and start again", err, dir)
	}
	return err
}

// noteLost writes into the ledger that copies of the root register were given up.
func (s *Server) noteLost(ctx context.Context) error {
	lost := s.vault.LostCopies()
	if lost == 0 {
		return nil
	}
	s.c.Log.Warn("copies of the root register were given up; whoever finds one must destroy it, or give it to --roots again before anything else", "copies", lost)
	if _, err := s.ledger.Record(ctx, eventstore.DefaultTenant, eventstore.Entry{Act: eventstore.ActRootsLost, Token: eventstore.TokenSystem}); err != nil {
		return fmt.Errorf("recording that copies of the root register were given up: %w", err)
	}
	return nil
}

// openAccess makes the admin token, and notes that the first start is done.
func (s *Server) openAccess(ctx context.Context) error {
	path := s.data.in("admin.token")
	token, created, err := s.tokens.EnsureAdmin(ctx, path, s.c.Production)
	if err != nil {
		return fmt.Errorf("the admin token: %w", err)
	}
	if created {
		s.c.Log.Info("the admin token was made", "file", path, "token", token.ID)
	}
	if len(token.Roles) > 1 && !s.c.Production {
		s.c.Log.Warn("the admin token holds every role in the tenant default, which is for trying out; start with --production to keep them apart", "token", token.ID)
	}
	return s.data.completed()
}

// URL is where the server answers.
func (s *Server) URL() string {
	scheme := "http"
	if s.c.TLSCert != "" {
		scheme = "https"
	}
	return scheme + "://" + s.listener.Addr().String()
}

// NATSURL is where bots connect over NATS; empty where no port is open.
func (s *Server) NATSURL() string {
	if s.nats == nil {
		return ""
	}
	return s.nats.URL()
}

// AdminToken is the file of the first access token.
func (s *Server) AdminToken() string { return s.data.in("admin.token") }

// explain adds to an error of the start what to do about it, where that can be known from the error alone.
func explain(err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("%w; another program listens there: stop it or name another address", err)
	case errors.Is(err, register.ErrMissing):
		return fmt.Errorf("%w; name every directory with --roots; if a copy is gone for good, start once with --roots-lost", err)
	case errors.Is(err, register.ErrKEK):
		return fmt.Errorf("%w; name the right one with --kek (if it was rotated, the new one)", err)
	case errors.Is(err, keyvault.ErrNoKEK):
		return fmt.Errorf("%w; bring the file back, or name where the key is with --kek", err)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%w; the start took too long", err)
	}
	return err
}
