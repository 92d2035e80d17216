package access

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/keystest"
	"github.com/oubli-store/oubli/keyvault/secret"
)

const tenant = eventstore.DefaultTenant

// meta counts reads and writes, and fails when told to.
type meta struct {
	eventstore.Meta
	mu         sync.Mutex
	gets, puts int
	fail       error
	// stored says that a failing write is stored all the same; during runs within a Get.
	stored bool
	during func()
}

func (m *meta) Get(ctx context.Context, t eventstore.TenantID, table eventstore.MetaTable, key string) ([]byte, error) {
	m.mu.Lock()
	m.gets++
	fail, during := m.fail, m.during
	m.during = nil
	m.mu.Unlock()
	if fail != nil {
		return nil, fail
	}
	value, err := m.Meta.Get(ctx, t, table, key)
	if during != nil {
		during()
	}
	return value, err
}

func (m *meta) Put(ctx context.Context, t eventstore.TenantID, table eventstore.MetaTable, key string, value []byte) error {
	m.mu.Lock()
	m.puts++
	fail, stored := m.fail, m.stored
	m.mu.Unlock()
	if fail == nil || stored {
		if err := m.Meta.Put(ctx, t, table, key, value); err != nil {
			return err
		}
	}
	return fail
}

type clock struct{ t time.Time }

func (c *clock) now() time.Time { return c.t }

func start(t *testing.T) (*Tokens, *meta, *clock) {
	t.Helper()
	vault := keystest.New()
	if err := vault.CreateTenant(t.Context(), tenant); err != nil {
		t.Fatal(err)
	}
	m, c := &meta{Meta: vault}, &clock{time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)}
	return New(m, c.now), m, c
}

func create(t *testing.T, a *Tokens, ask Token) (Token, string) {
	t.Helper()
	tok, text, err := a.Create(t.Context(), tenant, ask)
	if err != nil {
		t.Fatal(err)
	}
	return tok, string(text.Reveal())
}

func refused(t *testing.T, a *Tokens, what, text string) {
	t.Helper()
	if _, err := a.Authenticate(t.Context(), text); err != eventstore.ErrUnauthenticated {
		t.Errorf("%s: %v, want exactly ErrUnauthenticated", what, err)
	}
}

var dpo = Token{Roles: []eventstore.Role{eventstore.RoleDPO}}

func TestTokenLife(t *testing.T) {
	a, m, c := start(t)
	ask := Token{Roles: []eventstore.Role{eventstore.RoleDPO, eventstore.RoleSupport, eventstore.RoleDPO}, Owner: "desk", Expires: c.t.Add(time.Hour)}
	made, text := create(t, a, ask)
	if !strings.HasPrefix(text, "oubli_default_"+string(made.ID)+"_") || !WellFormed(text) {
		t.Errorf("the text has another form")
	}
	for range 100 {
		got, err := a.Authenticate(t.Context(), text)
		if err != nil || got.ID != made.ID || got.Tenant != tenant || !got.Has(eventstore.RoleSupport) || got.Has(eventstore.RoleBot) || len(got.Roles) != 2 {
			t.Fatalf("Authenticate = %+v, %v", got, err)
		}
	}
	if m.gets != 1 || m.puts != 1 {
		t.Errorf("100 authentications made %d reads and %d writes, want 1 and 1", m.gets, m.puts)
	}
	if l, err := New(m, c.now).List(t.Context(), tenant); err != nil || len(l) != 1 || !l[0].LastUsed.Equal(c.t) || l[0].Owner != "desk" {
		t.Errorf("List = %+v, %v", l, err)
	}

	rotated, newText, err := a.Rotate(t.Context(), tenant, made.ID)
	if err != nil || rotated.ID != made.ID {
		t.Fatal(err)
	}
	refused(t, a, "the old text after a rotation", text)
	text = string(newText.Reveal())
	if _, err := a.Authenticate(t.Context(), text); err != nil {
		t.Errorf("the new text: %v", err)
	}
	c.t = c.t.Add(time.Hour)
	refused(t, a, "an expired token", text)
	c.t = c.t.Add(-time.Minute)
	for range 2 {
		if err := a.Revoke(t.Context(), tenant, made.ID); err != nil {
			t.Fatal(err)
		}
		refused(t, a, "a revoked token", text)
	}
	refused(t, New(m, c.now), "a revoked token after a restart", text)
	if _, _, err := a.Rotate(t.Context(), tenant, made.ID); !errors.Is(err, eventstore.ErrConflict) {
		t.Errorf("rotating a revoked token: %v", err)
	}
	for _, id := range []eventstore.TokenID{"", "abcdefghijklmnop", made.ID + usedSuffix} {
		if err := a.Revoke(t.Context(), tenant, id); !errors.Is(err, eventstore.ErrNotFound) {
			t.Errorf("revoking an unknown token: %v", err)
		}
	}
}

// Every typing error of one character is found without a server.
func TestTypingErrors(t *testing.T) {
	a, m, _ := start(t)
	_, text := create(t, a, dpo)
	for i := range text {
		for _, c := range []byte{'a', 'z', '7', '_', 'A', ' '} {
			bad := []byte(text)
			if bad[i] == c {
				continue
			}
			bad[i] = c
			refused(t, a, "a mistyped token", string(bad))
		}
		refused(t, a, "a cut token", text[:i])
	}
	for _, bad := range []string{"", "oubli", "oubli___", text + "a", text + "\n", strings.Repeat("oubli_", 1000), "oubli_default_x_y"} {
		refused(t, a, "nonsense", bad)
	}
	if m.gets != 0 {
		t.Errorf("a mistyped token was looked up %d times", m.gets)
	}
	// Well-formed, and still not this token.
	p, _ := parse(text)
	refused(t, a, "another secret", string(write(p.tenant, p.id, make([]byte, secretSize)).Reveal()))
	refused(t, a, "another id", string(write(p.tenant, "abcdefghijklmnop", make([]byte, secretSize)).Reveal()))
	refused(t, a, "an unknown tenant", string(write("elsewhere", p.id, make([]byte, secretSize)).Reveal()))
}

func TestCreateRules(t *testing.T) {
	a, _, c := start(t)
	bot, admin := []eventstore.Role{eventstore.RoleBot}, []eventstore.Role{eventstore.RoleAdmin}
	for name, test := range map[string]struct {
		ask Token
		ok  bool
	}{
		"no role":            {Token{}, false},
		"an unknown role":    {Token{Roles: []eventstore.Role{"root"}}, false},
		"bot with a name":    {Token{Roles: bot, Bot: "shop-fr"}, true},
		"bot without":        {Token{Roles: bot}, false},
		"admin with a bot":   {Token{Roles: admin, Bot: "shop-fr"}, false},
		"bot and admin":      {Token{Roles: append(bot, admin...), Bot: "shop-fr"}, false},
		"admin":              {Token{Roles: admin}, true},
		"instance":           {Token{Roles: admin, Instance: true}, true},
		"instance, all":      {Token{Roles: Roles(), Instance: true}, true},
		"all, no instance":   {Token{Roles: Roles()}, false},
		"instance, no admin": {Token{Roles: []eventstore.Role{eventstore.RoleDPO}, Instance: true}, false},
		"expired":            {Token{Roles: admin, Expires: c.t}, false},
		"control characters": {Token{Roles: admin, Owner: "a\x1b[2Jb"}, false},
		"a long bot":         {Token{Roles: bot, Bot: eventstore.BotID(strings.Repeat("b", 257))}, false},
	} {
		_, _, err := a.Create(t.Context(), tenant, test.ask)
		if (err == nil) != test.ok || err != nil && !errors.Is(err, eventstore.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// What may not be asked for is not kept.
	made, _ := create(t, a, Token{Roles: admin, ID: "x", Tenant: "other", Created: time.Unix(1, 0), Revoked: time.Unix(1, 0), LastUsed: time.Unix(1, 0)})
	if made.ID == "x" || made.Tenant != tenant || !made.Created.Equal(c.t) || !made.Revoked.IsZero() || !made.LastUsed.IsZero() {
		t.Errorf("Create kept %+v", made)
	}
}

func TestOutageIsNoRefusal(t *testing.T) {
	a, m, c := start(t)
	made, text := create(t, a, dpo)
	m.fail = errors.New("disk")
	if _, err := a.Authenticate(t.Context(), text); !errors.Is(err, eventstore.ErrUnavailable) || errors.Is(err, eventstore.ErrUnauthenticated) {
		t.Errorf("during an outage: %v", err)
	}
	m.fail = nil
	if _, err := a.Authenticate(t.Context(), text); err != nil {
		t.Fatal(err)
	}
	// Last used cannot be written: the token is accepted all the same.
	m.fail = errors.New("disk")
	c.t = c.t.Add(time.Hour)
	if _, err := a.Authenticate(t.Context(), text); err != nil {
		t.Errorf("a token in the cache during an outage: %v", err)
	}
	m.fail = nil
	// A revocation that failed and is stored all the same is in force.
	m.during = func() { m.fail, m.stored = errors.New("disk"), true }
	if err := a.Revoke(t.Context(), tenant, made.ID); err == nil {
		t.Fatal("Revoke did not say that it failed")
	}
	m.fail = nil
	refused(t, a, "a token whose revocation failed but is stored", text)
}

// A row that was read before a revocation must not enter the cache behind it.
func TestRevokeDuringRead(t *testing.T) {
	a, m, _ := start(t)
	made, text := create(t, a, dpo)
	m.during = func() {
		if err := a.Revoke(context.Background(), tenant, made.ID); err != nil {
			t.Error(err)
		}
	}
	_, _ = a.Authenticate(t.Context(), text) // began before: either answer is right
	refused(t, a, "a token revoked while it was read", text)
}

func TestConcurrentUse(t *testing.T) {
	a, _, _ := start(t)
	made, text := create(t, a, dpo)
	var wg sync.WaitGroup
	var revoked sync.Map
	for range 8 {
		wg.Go(func() {
			for range 200 {
				_, before := revoked.Load("")
				_, err := a.Authenticate(context.Background(), text)
				if before && err == nil {
					t.Error("a token was accepted after its revocation")
				}
			}
		})
	}
	wg.Go(func() {
		if err := a.Revoke(context.Background(), tenant, made.ID); err != nil {
			t.Error(err)
		}
		revoked.Store("", true)
	})
	wg.Wait()
}

func TestCacheIsBounded(t *testing.T) {
	m := map[key]int{}
	for i := range 3 * cacheSize {
		makeRoom(m)
		m[key{tenant, eventstore.TokenID(fmt.Sprint(i))}] = i
	}
	if len(m) > cacheSize {
		t.Errorf("the cache holds %d", len(m))
	}
}

func TestForgetTenant(t *testing.T) {
	a, m, _ := start(t)
	_, text := create(t, a, dpo)
	if _, err := a.Authenticate(t.Context(), text); err != nil {
		t.Fatal(err)
	}
	if err := m.Meta.(*keystest.Fake).EraseTenant(t.Context(), tenant); err != nil {
		t.Fatal(err)
	}
	a.ForgetTenant(tenant)
	refused(t, a, "a token of an erased tenant", text)
}

func TestNothingPrints(t *testing.T) {
	a, m, _ := start(t)
	_, text, err := a.Create(t.Context(), tenant, dpo)
	if err != nil {
		t.Fatal(err)
	}
	if s := fmt.Sprintf("%v %+v %#v %s", text, text, text, text); strings.Contains(s, string(text.Reveal()[20:])) {
		t.Error("the text prints")
	}
	if reflect.TypeOf(text) != reflect.TypeOf(secret.Bytes{}) {
		t.Error("the text is no secret.Bytes")
	}
	p, _ := parse(string(text.Reveal()))
	rows, _ := m.List(t.Context(), tenant, eventstore.TableTokens)
	for _, row := range rows {
		if strings.Contains(string(row), string(text.Reveal()[len("oubli_default_")+17:][:52])) {
			t.Error("the secret itself is stored")
		}
	}
	if _, ok := rows[string(p.id)]; !ok {
		t.Error("no row under the id")
	}
}

func FuzzParse(f *testing.F) {
	f.Add(string(write(tenant, "abcdefghijklmnop", make([]byte, secretSize)).Reveal()))
	f.Add("oubli_default_abcdefghijklmnop_")
	f.Fuzz(func(t *testing.T, text string) {
		p, ok := parse(text)
		if ok && !strings.HasPrefix(text, "oubli_"+string(p.tenant)+"_"+string(p.id)+"_") {
			t.Fatalf("%q was taken for another token", text)
		}
	})
}

func BenchmarkAuthenticate(b *testing.B) {
	vault := keystest.New()
	if err := vault.CreateTenant(b.Context(), tenant); err != nil {
		b.Fatal(err)
	}
	a := New(vault, time.Now)
	_, text, err := a.Create(b.Context(), tenant, dpo)
	if err != nil {
		b.Fatal(err)
	}
	s := string(text.Reveal())
	for b.Loop() {
		if _, err := a.Authenticate(b.Context(), s); err != nil {
			b.Fatal(err)
		}
	}
}
