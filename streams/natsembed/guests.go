package natsembed

import (
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// guestAccount is where connections through the port live. It has no JetStream: its subjects are not those of the streams, so nothing that a guest
// publishes, and no reply that a guest asks for, can reach them.
const guestAccount = "guests"

// guests decides who a connection belongs to: this program itself, by passwords that only it knows, the service within the guests' account, or a guest.
type guests struct {
	ask     func(token string) (inbox string, ok bool)
	subject string
	// own and service are the passwords of this program's connections.
	own, service string
	account      atomic.Pointer[server.Account]
	global       atomic.Pointer[server.Account]
}

const (
	ownUser     = "own"
	serviceUser = "service"
)

func newGuests(c Config) *guests {
	return &guests{ask: c.Guests, subject: c.GuestSubject, own: rand.Text(), service: rand.Text()}
}

// Check implements [server.Authentication].
func (g *guests) Check(c server.ClientAuthentication) bool {
	account, global := g.account.Load(), g.global.Load()
	if c.Kind() != server.CLIENT || account == nil {
		return false
	}
	o := c.GetOpts()
	switch o.Username {
	case ownUser:
		c.RegisterUser(&server.User{Username: ownUser, Account: global})
		return same(o.Password, g.own)
	case serviceUser:
		c.RegisterUser(&server.User{Username: serviceUser, Account: account})
		return same(o.Password, g.service)
	}
	inbox, ok := g.ask(o.Token)
	if !ok || o.Token == "" || o.Username != "" {
		return false
	}
	c.RegisterUser(&server.User{Username: "guest", Account: account, Permissions: &server.Permissions{
		Publish:   &server.SubjectPermission{Allow: []string{g.subject, "$SRV.>"}},
		Subscribe: &server.SubjectPermission{Allow: []string{inbox + ".>"}},
	}})
	return true
}

func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// open lets connections in, once the server has its accounts.
func (g *guests) open(s *server.Server) error {
	account, err := s.RegisterAccount(guestAccount)
	if err != nil {
		return fmt.Errorf("making the guests' account of the NATS server: %w", err)
	}
	g.global.Store(s.GlobalAccount())
	g.account.Store(account)
	return nil
}

// ConnectService makes a connection through memory into the account of the guests, for the service that answers them. The caller closes it.
func (s *Server) ConnectService() (*nats.Conn, error) {
	if s.guests == nil {
		return nil, errors.New("natsembed: the server takes no guests")
	}
	return s.connect(nats.UserInfo(serviceUser, s.guests.service))
}
