package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"

	"github.com/shadowsync/shadowsync/shadowsync"
)

// What is on record of a store belongs to that store, wherever its table stands in the configuration
// and whatever its name. So a store is known by what its table says.

// kindKeys decide what a store's values are; servingKeys how it is reached and used. All other keys say
// where the values are.
var (
	kindKeys    = []string{"driver", "format", "scheme"}
	servingKeys = []string{
		"store_name", "shares", "formats", "cost", "after", "reload_unit", "group", "ca", "password_file", "credential",
		"update", "clear", "sessions", "sessions_account", "sessions_refers",
	}
)

// Identity identifies the store of a table that Parse accepts: kind by what its values are, place by where
// they are. Each is a short digest, and equal for equal stores, whether a default is spelled out or not. The
// texts of which they are made must never change, because the state records the digests; if they did, all
// would be compared anew.
func Identity(table map[string]any) (kind, place string) {
	where := maps.Clone(table)
	what := map[string]any{}
	for _, k := range kindKeys {
		what[k] = where[k]
	}
	maps.DeleteFunc(where, func(k string, value any) bool {
		return slices.Contains(kindKeys, k) && k != "driver" || slices.Contains(servingKeys, k) || k == "as" && value == shadowsync.AsName
	})
	o, err := Parse(table)
	if err != nil {
		return shortDigest(what), shortDigest(where)
	}
	d := drivers[o.Driver]
	if s, err := d.Open(context.Background(), o); err == nil {
		what["scheme"] = s.Capabilities().Scheme
		_ = s.Close() // it was not used yet
	}
	if d.Plain != nil {
		for k, value := range d.Plain(o) {
			where[k] = value
		}
	}
	return shortDigest(what), shortDigest(where)
}

// shortDigest is made of the keys in their order.
func shortDigest(table map[string]any) string {
	text, err := json.Marshal(table)
	if err != nil { // only a float that is no number has no JSON: it is wrong in every key
		return ""
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}
