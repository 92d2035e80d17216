package keyvault

import (
	"github.com/oubli-store/oubli/eventstore"
)

// TenantStatus says how large a tenant's key tree is.
type TenantStatus struct {
	Persons uint64 `json:"persons"`
	Leaves  int    `json:"leaves"`
	Pages   int    `json:"pages"`
	Nodes   int    `json:"nodes"`
	Depth   int    `json:"depth"`
	// Generation counts the re-keyings.
	Generation uint64 `json:"generation"`
}

// Status reads the nodes of a tenant's tree; it opens no record and no handle.
func (v *Vault) Status(tenant eventstore.TenantID) (TenantStatus, error) {
	t, err := v.tenant(tenant)
	if err != nil {
		return TenantStatus{}, err
	}
	if err := t.enterShared(); err != nil {
		return TenantStatus{}, err
	}
	defer t.mu.RUnlock()
	s, err := t.tree.Shape()
	if err != nil {
		return TenantStatus{}, fromTree(err)
	}
	return TenantStatus{
		Persons: uint64(max(0, t.count.Load())), Leaves: s.Leaves, Pages: s.Pages, Nodes: s.Nodes, Depth: s.Depth, Generation: t.tree.Generation(),
	}, nil
}

// RegisterFails says that a copy of the root register could not be written when that was last tried, which is within about a minute after somebody new came in: until
// it can be, nobody is erased. Everything else goes on.
func (v *Vault) RegisterFails() bool { return v.unwritable.Load() }
