package config

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"net/url"
	"slices"
)

// What is on record of a store belongs to that store, wherever its table stands in the configuration
// and whatever its name. So a store is known by what its table says.

// kindKeys decide what a store's values are; servingKeys how it is reached and used. All other keys say
// where the values are.
var (
	kindKeys    = []string{"driver", "format", "scheme"}
	servingKeys = []string{
		keyStoreName, keyShares, "formats", "cost", "after", "reload_unit", "group", "ca", "password_file", "credential",
		"update", "clear", "sessions", "sessions_account", "sessions_refers",
	}
)

// Identity identifies the holder's store: kind by what its values are, place by where they are. Each is a
// short digest, and equal for equal stores. The texts of which they are made must never change, because
// the state records the digests; if they did, all would be compared anew.
func (a Application) Identity() (kind, place string) {
	where := maps.Clone(a.Store)
	what := map[string]any{}
	for _, k := range kindKeys {
		what[k] = where[k]
	}
	maps.DeleteFunc(where, func(k string, _ any) bool {
		return slices.Contains(kindKeys, k) && k != "driver" || slices.Contains(servingKeys, k)
	})
	if dsn, ok := where["dsn"].(string); ok {
		where["dsn"] = server(dsn)
	}
	return shortDigest(what), shortDigest(where)
}

// server returns the part of a dsn that says which database of which server it is, and not who logs in
// there, or how.
func server(dsn string) string {
	u, err := url.Parse(dsn)
	if err != nil {
		return dsn
	}
	query := u.Query()
	maps.DeleteFunc(query, func(k string, _ []string) bool { return !slices.Contains([]string{"host", "port", "socket"}, k) })
	u.User, u.RawQuery = nil, query.Encode()
	return u.String()
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
